"""State, logs, keep-alives and the rate limit, over real DTLS."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import cbor2
import pytest
from aiocoap import CHANGED, CON, CONTENT, DELETE, DELETED, GET, NOT_FOUND, POST, PUT, Code, Message
from aiocoap.optiontypes import BlockOption

from localcloud.settings import CloudSettings
from protocol.formats import ContentFormat
from tests.localcloud.conftest import SETTINGS, UNLIMITED
from tests.support.cloud import Bench, Operator, first, get, request
from tests.support.waiting import PATIENCE

CBOR, JSON = int(ContentFormat.CBOR), int(ContentFormat.JSON)


async def test_a_value_written_in_one_encoding_is_read_in_the_other(
    bench: Bench, operator: Operator
) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    body = cbor2.dumps({"fps": 9.5, "on": True, "names": ["a", None]})
    written = await link.request(request(POST, ".d/camera", body, content_format=CBOR))
    assert (written.code, written.payload) == (CHANGED, b"")
    in_json = await get(link, ".d/camera", accept=JSON)
    assert json.loads(in_json.payload) == {"fps": 9.5, "on": True, "names": ["a", None]}
    in_cbor = await get(link, ".d/camera/fps", accept=CBOR)
    assert (cbor2.loads(in_cbor.payload), in_cbor.opt.content_format) == (9.5, CBOR)
    root = f"{operator.project}/devices/{device.id}/data"
    assert (await operator.call("GET", f"{root}/camera/on"))["data"] is True


async def test_the_sdks_scalars_are_understood(bench: Bench, operator: Operator) -> None:
    link = await bench.link(await operator.device("camera-1"))
    for text, value in [(b"13", 13), (b"true", True), (b"-234.250000", -234.25), (b'"x"', "x")]:
        assert (await link.request(request(PUT, ".d/v", text, content_format=JSON))).code == CHANGED
        assert json.loads((await get(link, ".d/v")).payload) == value


async def test_a_missing_value_reads_as_null(bench: Bench, operator: Operator) -> None:
    link = await bench.link(await operator.device("camera-1"))
    assert (await get(link, ".d/not/there", accept=JSON)).payload == b"null"
    assert (await get(link, ".d/not/there", accept=CBOR)).payload == b"\xf6"
    assert (await get(link, ".d", accept=JSON)).payload == b"{}"


async def test_a_deleted_value_is_gone_and_its_parent_stays(
    bench: Bench, operator: Operator
) -> None:
    link = await bench.link(await operator.device("camera-1"))
    await link.request(request(POST, ".d/a/b", b"1", content_format=JSON))
    assert (await link.request(request(DELETE, ".d/a/b"))).code == DELETED
    assert (await get(link, ".d")).payload == b'{"a":{}}'
    assert (await link.request(request(DELETE, ".d/a/b"))).code == DELETED, "deleting again"


async def test_an_observer_sees_changes_of_its_own_path_only(
    bench: Bench, operator: Operator
) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    observation = link.observe(request(GET, ".d/desired/config", accept=JSON))
    assert (await first(observation)).payload == b"null"
    root = f"{operator.project}/devices/{device.id}/data"
    await operator.call("POST", f"{root}/state/other", 1)
    await operator.call("POST", f"{root}/desired/config", {"fps": 10})
    assert (await first(observation)).payload == b'{"fps":10}'
    await link.request(request(DELETE, ".d/desired/config"))
    assert (await first(observation)).payload == b"null"


async def test_bad_state_is_refused_and_changes_nothing(bench: Bench, operator: Operator) -> None:
    link = await bench.link(await operator.device("camera-1"))
    await link.request(request(POST, ".d/a", b"1", content_format=JSON))
    for path, body, content_format in [
        (".d/a", b"{", JSON),
        (".d/a", b"\xff", CBOR),
        (".d/a", cbor2.dumps(b"bytes"), CBOR),
        (".d/a", b"text", int(ContentFormat.TEXT)),
        (".d", b"7", JSON),
    ]:
        answer = await link.request(request(POST, path, body, content_format=content_format))
        assert answer.code == Code.BAD_REQUEST, (path, body)
        assert answer.payload, "the answer says why"
    assert (await get(link, ".d")).payload == b'{"a":1}'


async def test_large_state_is_read_block_by_block(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    value = "x" * 3000
    root = f"{operator.project}/devices/{device.id}/data"
    await operator.call("POST", f"{root}/long", value)
    link = await bench.link(device)
    body = b""
    for number in range(3):
        block = await get(link, ".d/long", block2=BlockOption.BlockwiseTuple(number, False, 6))
        body += block.payload
    assert json.loads(body) == value
    assert block.opt.block2 == (2, False, 6)


async def test_a_body_may_arrive_in_blocks(bench: Bench, operator: Operator) -> None:
    link = await bench.link(await operator.device("camera-1"))
    body = json.dumps("y" * 2500).encode()

    async def put(number: int, *, more: bool) -> Message:
        part = body[number * 1024 : (number + 1) * 1024]
        block1 = BlockOption.BlockwiseTuple(number, more, 6)
        return await link.request(request(PUT, ".d/long", part, content_format=JSON, block1=block1))

    assert (await put(0, more=True)).code == Code.CONTINUE
    assert (await put(1, more=True)).code == Code.CONTINUE
    done = await put(2, more=False)
    assert (done.code, done.opt.block1) == (CHANGED, (2, False, 6))
    assert json.loads((await get(link, ".d/long")).payload[:10] + b'"') == "y" * 9
    orphan = request(
        *(PUT, ".d/else", body[:1024]),
        content_format=JSON,
        block1=BlockOption.BlockwiseTuple(1, True, 6),
    )
    assert (await link.request(orphan)).code == Code.REQUEST_ENTITY_INCOMPLETE


async def test_log_lines_are_kept_with_their_metadata(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    # As the SDK writes it, to the old and the new place.
    sdk = bytes.fromhex("bf 656c6576656c 6465 72726f72".replace("6465 72726f72", "656572726f72"))
    sdk += bytes.fromhex("666d6f64756c65 636d6f64 636d7367 62 6869 ff")
    assert (await link.request(request(POST, "logs", sdk, content_format=CBOR))).code == CHANGED
    more = json.dumps({"level": "info", "module": "cam", "msg": "Frame", "fps": 30}).encode()
    assert (await link.request(request(POST, ".s/logs", more, content_format=JSON))).code == CHANGED
    entries = await operator.logs()
    assert [(e["level"], e["module"], e["message"]) for e in entries] == [
        ("INFO", "cam", "Frame"),
        ("ERROR", "mod", "hi"),
    ]
    assert entries[0]["metadata"] == {"fps": 30}
    assert entries[0]["deviceId"] == entries[0]["device_id"] == device.id
    assert entries[0]["type"] == "LOGGING"
    assert len(await operator.logs(level="ERROR")) == 1
    assert len(await operator.logs(term="frame")) == 1
    assert len(await operator.logs(module="mod", deviceId=device.id)) == 1
    assert await operator.logs(start="2999-01-01T00:00:00Z") == []
    bad = await link.request(request(POST, ".s/logs", b"\xa0", content_format=CBOR))
    assert bad.code == Code.BAD_REQUEST


async def test_stream_data_is_accepted(bench: Bench, operator: Operator) -> None:
    link = await bench.link(await operator.device("camera-1"))
    for path in (".s", ".s/sensor/temperature"):
        sent = request(POST, path, b"21.5", content_format=JSON)
        assert (await link.request(sent)).code == CHANGED
    assert (await get(link, ".s/sensor")).code == Code.METHOD_NOT_ALLOWED


async def test_the_sdks_keep_alive_is_answered(bench: Bench, operator: Operator) -> None:
    link = await bench.link(await operator.device("camera-1"))
    answers = [await link.request(Message(code=DELETE)) for _ in range(3)]
    assert [answer.code for answer in answers] == [NOT_FOUND] * 3
    await link.ping(timeout=PATIENCE)


async def test_settings_and_calls_begin_with_ok(bench: Bench, operator: Operator) -> None:
    link = await bench.link(await operator.device("camera-1"))
    for path in (".c", ".rpc"):
        observation = link.observe(request(GET, path, accept=CBOR))
        message = await first(observation)
        assert (message.code, message.payload) == (CONTENT, b"\x62OK")
        assert message.opt.observe is not None
    in_json = await first(link.observe(request(GET, ".rpc", accept=JSON)))
    assert in_json.payload == b'"OK"'
    settings = await get(link, ".c", accept=CBOR)
    assert cbor2.loads(settings.payload) == {"version": 0, "settings": None}


async def test_hello_and_echo(bench: Bench, operator: Operator) -> None:
    link = await bench.link(await operator.device("camera-1"))
    hello = await get(link, "hello")
    assert (hello.code, hello.payload) == (Code.VALID, b"Hello camera-1")
    echo = await link.request(request(POST, "echo", b"\x00\xff"))
    assert (echo.code, echo.payload, echo.opt.content_format) == (Code.VALID, b"\x00\xff", 42)


async def test_unknown_paths_and_methods_are_refused(bench: Bench, operator: Operator) -> None:
    link = await bench.link(await operator.device("camera-1"))
    assert (await get(link, "nowhere")).code == NOT_FOUND
    assert (await get(link, "")).code == NOT_FOUND
    assert (await link.request(request(POST, ".u/desired"))).code == Code.METHOD_NOT_ALLOWED
    assert (await link.request(request(DELETE, ".u/c/main"))).code == Code.METHOD_NOT_ALLOWED


async def test_empty_path_segments_do_not_matter(bench: Bench, operator: Operator) -> None:
    link = await bench.link(await operator.device("camera-1"))
    message = Message(code=GET, uri_path=(".c", ""), accept=CBOR)
    assert (await link.request(message)).code == CONTENT


class TestRateLimit:
    @pytest.fixture
    def settings(self) -> CloudSettings:
        return replace(SETTINGS, rate_limit=2)

    async def test_too_many_requests_are_refused_with_a_time(
        self, bench: Bench, operator: Operator
    ) -> None:
        link = await bench.link(await operator.device("camera-1"))
        answers = await asyncio.gather(*(get(link, "hello") for _ in range(40)))
        refused = [answer for answer in answers if answer.code == Code.TOO_MANY_REQUESTS]
        assert len(answers) - len(refused) >= 2
        assert refused, "40 requests at once are more than two per second"
        assert all(answer.opt.max_age == 1 for answer in refused)

    async def test_each_device_has_a_limit_of_its_own(
        self, bench: Bench, operator: Operator
    ) -> None:
        greedy = await bench.link(await operator.device("camera-1"))
        modest = await bench.link(await operator.device("camera-2"))
        await asyncio.gather(*(get(greedy, "hello") for _ in range(40)))
        assert (await get(modest, "hello")).code == Code.VALID


class TestWithoutLimit:
    @pytest.fixture
    def settings(self) -> CloudSettings:
        return UNLIMITED

    async def test_everything_passes(self, bench: Bench, operator: Operator) -> None:
        link = await bench.link(await operator.device("camera-1"))
        answers = await asyncio.gather(*(get(link, "hello") for _ in range(100)))
        assert {answer.code for answer in answers} == {Code.VALID}


async def test_answers_ride_on_the_acknowledgement(bench: Bench, operator: Operator) -> None:
    link = await bench.link(await operator.device("camera-1"))
    await get(link, "hello")
    before = link.traffic.datagrams_received
    await get(link, "hello")
    assert link.traffic.datagrams_received - before == 1


class TestSeparateResponses:
    @pytest.fixture
    def settings(self) -> CloudSettings:
        return replace(SETTINGS, response_delay=0.3)

    async def test_answers_come_after_an_empty_acknowledgement(
        self, bench: Bench, operator: Operator
    ) -> None:
        link = await bench.link(await operator.device("camera-1"))
        before = link.traffic.datagrams_received
        assert (await get(link, "hello")).mtype == CON
        assert link.traffic.datagrams_received - before == 2
