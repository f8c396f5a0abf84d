"""What a device gets and says about updates, over real DTLS."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise

import cbor2
import pytest
from aiocoap import CHANGED, CONTENT, NOT_FOUND, POST, PUT, Code, Message
from aiocoap.optiontypes import BlockOption

from localcloud.settings import CloudSettings
from protocol.formats import ContentFormat
from protocol.manifest import Component, Manifest, decode_manifest
from protocol.report import OtaReason, OtaReport, OtaState, encode_report
from tests.localcloud.conftest import SETTINGS
from tests.support.cloud import Bench, Operator, first, get, request

MODEL = bytes(number % 251 for number in range(10 * 1024 + 77))
CBOR, JSON = int(ContentFormat.CBOR), int(ContentFormat.JSON)


@pytest.fixture
def settings() -> CloudSettings:
    """These tests ask faster than a device may."""
    return CloudSettings(**{**vars(SETTINGS), "rate_limit": None})


def _block(number: int, exponent: int = 6) -> BlockOption.BlockwiseTuple:
    return BlockOption.BlockwiseTuple(number, False, exponent)


async def test_a_device_without_deployment_gets_an_empty_map(bench: Bench) -> None:
    link = await bench.link(await bench.operator.device("camera-1"))
    in_cbor = await get(link, ".u/desired", accept=CBOR)
    assert (in_cbor.code, in_cbor.payload, in_cbor.opt.content_format) == (CONTENT, b"\xa0", CBOR)
    unsaid = await get(link, ".u/desired")
    assert (unsaid.payload, unsaid.opt.content_format) == (b"{}", JSON)


async def test_the_manifest_names_the_deployed_artifacts(bench: Bench, operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    model = await operator.upload("ai-model", "1.0", MODEL)
    labels = await operator.upload("labels", "7", b"a\nb\n")
    await operator.deploy(cohort, model["id"], labels["id"])
    link = await bench.link(await operator.device("camera-1", cohort))
    answer = await get(link, ".u/desired", accept=CBOR)
    manifest = decode_manifest(answer.payload, CBOR)
    assert manifest.components == (
        Component(
            "ai-model",
            "1.0",
            hashlib.sha256(MODEL).hexdigest(),
            len(MODEL),
            "/.u/c/ai-model@1.0",
            "default",
        ),
        Component(
            "labels", "7", hashlib.sha256(b"a\nb\n").hexdigest(), 4, "/.u/c/labels@7", "default"
        ),
    )
    assert manifest.hash is not None
    assert len(manifest.hash) == 64
    in_json = await get(link, ".u/desired", accept=JSON)
    assert decode_manifest(in_json.payload, JSON) == manifest
    assert json.loads(in_json.payload)["sequenceNumber"] == manifest.sequence


async def test_a_deployment_is_pushed_to_observers(bench: Bench, operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    model = await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1", cohort))
    observation = link.observe(request(Code.GET, ".u/desired", accept=CBOR))
    nothing = await first(observation)
    assert nothing.payload == b"\xa0"
    await operator.deploy(cohort, model["id"])
    pushed = await first(observation)
    asked = await get(link, ".u/desired", accept=CBOR)
    assert pushed.payload == asked.payload, "the same bytes however they are asked for"
    await operator.deploy(cohort, model["id"])
    again = await first(observation)
    one, two = (decode_manifest(message.payload, CBOR) for message in (pushed, again))
    assert two.sequence > one.sequence
    assert two.components == one.components
    sequence = [message.opt.observe for message in (nothing, pushed, again)]
    assert all(0 < (b - a) % 2**24 < 2**23 for a, b in pairwise(sequence))


async def test_joining_a_cohort_pushes_and_leaving_does_not(
    bench: Bench, operator: Operator
) -> None:
    one, two = await operator.cohort("one"), await operator.cohort("two")
    model = await operator.upload("ai-model", "1", MODEL)
    await operator.deploy(one, model["id"], name="for one")
    await operator.deploy(two, model["id"], name="for two")
    device = await operator.device("camera-1")
    link = await bench.link(device)
    observation = link.observe(request(Code.GET, ".u/desired", accept=CBOR))
    assert (await first(observation)).payload == b"\xa0"
    await operator.join(device.id, one)
    joined = decode_manifest((await first(observation)).payload, CBOR)
    await operator.join(device.id, "")
    assert (await get(link, ".u/desired", accept=CBOR)).payload == b"\xa0"
    await operator.join(device.id, two)
    # Had leaving been pushed, the empty manifest would come before this one.
    after = decode_manifest((await first(observation)).payload, CBOR)
    assert after.sequence > joined.sequence > 0


async def test_other_cohorts_are_not_told(bench: Bench, operator: Operator) -> None:
    mine, other = await operator.cohort("mine"), await operator.cohort("other")
    model = await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1", mine))
    observation = link.observe(request(Code.GET, ".u/desired", accept=CBOR))
    await first(observation)
    await operator.deploy(other, model["id"])
    await operator.deploy(mine, model["id"])
    manifest = decode_manifest((await first(observation)).payload, CBOR)
    # The first push is the second deployment; sequences are per project.
    assert (
        manifest.sequence
        == decode_manifest((await get(link, ".u/desired", accept=CBOR)).payload, CBOR).sequence
    )


async def test_a_large_manifest_comes_block_by_block(bench: Bench, operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    parts = [await operator.upload(f"part-{n}", "1", bytes([n])) for n in range(20)]
    link = await bench.link(await operator.device("camera-1", cohort))
    observation = link.observe(request(Code.GET, ".u/desired", accept=CBOR))
    await first(observation)
    await operator.deploy(cohort, *(part["id"] for part in parts))
    pushed = await first(observation)
    assert pushed.opt.block2 == (0, True, 6)
    body, number = pushed.payload, 0
    while True:
        number += 1
        block = await get(link, ".u/desired", accept=CBOR, block2=_block(number))
        body += block.payload
        assert block.opt.size2 == pushed.opt.size2
        if not block.opt.block2.more:
            break
    assert len(body) == pushed.opt.size2
    assert len(decode_manifest(body, CBOR).components) == 20


async def test_an_unsupported_accept_is_refused_except_on_cancel(bench: Bench) -> None:
    link = await bench.link(await bench.operator.device("camera-1"))
    refused = await get(link, ".u/desired", accept=int(ContentFormat.OCTETS))
    assert refused.code == Code.NOT_ACCEPTABLE
    # What Golioth's Zephyr SDK sends to cancel an observation in CBOR.
    cancelled = await get(link, ".u/desired", accept=1, observe=1)
    assert (cancelled.code, cancelled.opt.observe) == (CONTENT, None)


async def test_any_block_is_served_at_once_in_any_order(bench: Bench, operator: Operator) -> None:
    await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    for number in (7, 10, 0, 3):
        block = await get(link, ".u/c/ai-model@1", accept=42, block2=_block(number))
        assert block.code == CONTENT
        assert block.payload == MODEL[number * 1024 : (number + 1) * 1024]
        assert block.opt.block2 == (number, number < 10, 6)
        assert block.opt.size2 == len(MODEL)
        assert (block.opt.etag, block.opt.content_format) == (None, None)


async def test_a_block_is_the_same_whichever_way_it_is_answered(
    bench: Bench, operator: Operator
) -> None:
    await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    for number in (0, 3, 10):
        short = await get(link, ".u/c/ai-model@1", block2=_block(number))
        # An option that plain requests for a block have not.
        long = await get(link, ".u/c/ai-model@1", block2=_block(number), uri_query=("any",))
        assert short.payload == long.payload
        assert (short.code, short.opt) == (long.code, long.opt)
    at_the_root = await get(link, "", block2=_block(0))
    assert at_the_root.code == Code.NOT_FOUND


async def test_an_artifact_that_was_deleted_is_served_no_longer(
    bench: Bench, operator: Operator
) -> None:
    artifact = await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    assert (await get(link, ".u/c/ai-model@1", block2=_block(0))).payload == MODEL[:1024]
    await operator.call("DELETE", f"{operator.project}/artifacts/{artifact['id']}")
    assert (await get(link, ".u/c/ai-model@1", block2=_block(1))).code == Code.NOT_FOUND
    await operator.upload("ai-model", "1", MODEL[::-1])
    assert (await get(link, ".u/c/ai-model@1", block2=_block(0))).payload == MODEL[::-1][:1024]


async def test_smaller_blocks_are_served_when_asked_for(bench: Bench, operator: Operator) -> None:
    await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    block = await get(link, ".u/c/ai-model@1", block2=_block(100, exponent=2))
    assert block.payload == MODEL[6400:6464]
    assert block.opt.block2 == (100, True, 2)


async def test_a_get_without_block_option_is_answered_block_wise(
    bench: Bench, operator: Operator
) -> None:
    await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    answer = await get(link, ".u/c/ai-model@1")
    assert (answer.payload, answer.opt.block2) == (MODEL[:1024], (0, True, 6))


async def test_bodies_around_one_block(bench: Bench, operator: Operator) -> None:
    for size in (0, 1, 1023, 1024, 1025, 2048):
        await operator.upload("part", f"{size}", bytes(size))
    link = await bench.link(await operator.device("camera-1"))

    async def block(size: int, number: int) -> Message:
        return await get(link, f".u/c/part@{size}", block2=_block(number))

    for size in (0, 1, 1023):
        small = await block(size, 0)
        assert (len(small.payload), small.opt.block2, small.opt.size2) == (size, None, None)
    for size, number, length, more in [
        (1024, 0, 1024, False),
        (1025, 0, 1024, True),
        (1025, 1, 1, False),
        (2048, 1, 1024, False),
        (1024, 1, 0, False),
        (2048, 2, 0, False),
    ]:
        answer = await block(size, number)
        assert (answer.code, len(answer.payload)) == (CONTENT, length)
        assert (answer.opt.block2, answer.opt.size2) == ((number, more, 6), size)
    for size, number in [(0, 1), (1, 1), (1025, 2), (2048, 3), (2048, 2**20 - 1)]:
        assert (await block(size, number)).code == Code.REQUEST_ENTITY_INCOMPLETE


async def test_an_unknown_component_is_not_found(bench: Bench, operator: Operator) -> None:
    await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    for path in (".u/c/ai-model@2", ".u/c/other@1", ".u/c/@", ".u/desired/suit", ".u", ".u/c"):
        assert (await get(link, path)).code == NOT_FOUND, path


async def test_a_component_of_another_project_is_not_found(
    bench: Bench, operator: Operator
) -> None:
    await bench.other_operator("Elsewhere").upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    assert (await get(link, ".u/c/ai-model@1")).code == NOT_FOUND


async def test_a_report_becomes_an_event_and_the_devices_status(
    bench: Bench, operator: Operator
) -> None:
    cohort = await operator.cohort("bench")
    model = await operator.upload("ai-model", "2", MODEL)
    await operator.deploy(cohort, model["id"])
    device = await operator.device("camera-1", cohort)
    link = await bench.link(device)
    # As the SDK writes it: a map of indefinite length.
    body = bytes.fromhex("bf6173016172 0063706b67 6861692d6d6f64656c 6176 6131 6174 6132 ff")
    answer = await link.request(request(POST, ".u/c/ai-model", body, content_format=CBOR))
    assert (answer.code, answer.payload) == (CHANGED, b"")
    [event] = await operator.events(deviceId=device.id)
    assert {key: event[key] for key in event if key != "timestamp"} == {
        "deviceId": device.id,
        "packageId": "ai-model",
        "eventType": "DOWNLOADING",
        "status": 0,
        "message": "ready state",
        "currentVersion": "1",
        "targetVersion": "2",
    }
    shown = (await operator.call("GET", f"{operator.project}/devices/{device.id}"))["data"]
    status = shown["metadata"]["update"]["ai-model"]
    assert status.pop("time")
    assert status == {
        "package": "ai-model",
        "version": "1",
        "target": "2",
        "state": "DOWNLOADING",
        "stateCode": "1",
        "reason": "ready state",
        "reasonCode": "0",
    }


async def test_events_come_newest_first_with_the_reason_as_status(
    bench: Bench, operator: Operator
) -> None:
    cohort = await operator.cohort("bench")
    model = await operator.upload("main", "2", MODEL)
    await operator.deploy(cohort, model["id"])
    device = await operator.device("camera-1", cohort)
    link = await bench.link(device)
    for number in range(10):
        report = OtaReport("main", OtaState(number % 4), OtaReason(number), "1", "2")
        sent = request(PUT, ".u/c/main", encode_report(report), content_format=CBOR)
        assert (await link.request(sent)).code == CHANGED
    events = await operator.events(deviceId=device.id)
    assert [event["status"] for event in events] == list(range(9, -1, -1))
    assert [event["eventType"] for event in events][:4] == [
        "DOWNLOADING",
        "IDLE",
        "UPDATING",
        "DOWNLOADED",
    ]
    assert [e["status"] for e in await operator.events(eventType="UPDATING")] == [7, 3]
    assert [e["status"] for e in await operator.events(status="5", packageId="main")] == [5]
    assert await operator.events(cohortId="other") == []
    assert await operator.events(endTime=events[-1]["timestamp"]) == []
    since = await operator.events(startTime=events[2]["timestamp"])
    assert [event["status"] for event in since] == [9, 8, 7]


async def test_event_pages_go_there_and_back(bench: Bench, operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    await operator.deploy(cohort, (await operator.upload("main", "2", MODEL))["id"])
    link = await bench.link(await operator.device("camera-1", cohort))
    for number in range(5):
        report = encode_report(OtaReport("main", OtaState.IDLE, OtaReason(number)))
        await link.request(request(POST, ".u/c/main", report, content_format=CBOR))
    path = f"{operator.owned}/ota-events"

    async def page(token: str) -> tuple[list[int], str, str]:
        query = {"limit": "2", "pageToken": token}
        body = (await operator.http.get(path, params=query)).json()
        events = [event["status"] for event in body["list"]]
        return events, body["nextPageToken"], body["prevPageToken"]

    newest, older, none = await page("")
    assert (newest, none) == ([4, 3], "")
    middle, oldest, newer = await page(older)
    assert middle == [2, 1]
    last, end, _ = await page(oldest)
    assert (last, end) == ([0], "")
    assert (await page(newer))[0] == [4, 3]


async def test_a_repeated_report_is_one_event(bench: Bench, operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    await operator.deploy(cohort, (await operator.upload("main", "2", MODEL))["id"])
    link = await bench.link(await operator.device("camera-1", cohort))
    idle, downloading = OtaReport("main"), OtaReport("main", OtaState.DOWNLOADING)
    for report in (idle, idle, downloading, idle):
        sent = request(POST, ".u/c/main", encode_report(report), content_format=CBOR)
        await link.request(sent)
    kinds = [event["eventType"] for event in await operator.events()]
    assert kinds == ["IDLE", "DOWNLOADING", "IDLE"]


async def test_a_report_outside_the_active_deployment_is_no_event(
    bench: Bench, operator: Operator
) -> None:
    cohort = await operator.cohort("bench")
    model = await operator.upload("ai-model", "1", MODEL)
    old = await operator.upload("labels", "1", b"l")
    await operator.deploy(cohort, old["id"])
    await operator.deploy(cohort, model["id"])
    device = await operator.device("camera-1", cohort)
    link = await bench.link(device)
    for package in ("labels", "main", "ai-model"):
        body = encode_report(OtaReport(package, version="1"))
        sent = request(POST, f".u/c/{package}", body, content_format=CBOR)
        assert (await link.request(sent)).code == CHANGED
    assert [event["packageId"] for event in await operator.events()] == ["ai-model"]
    shown = (await operator.call("GET", f"{operator.project}/devices/{device.id}"))["data"]
    assert set(shown["metadata"]["update"]) == {"labels", "main", "ai-model"}
    messages = {entry["message"] for entry in await operator.logs(deviceId=device.id)}
    assert messages == {
        "Package labels is not included in the active deployment",
        "Package main is not included in the active deployment",
    }


async def test_a_bad_report_is_refused_with_the_reason(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    for body, part in [
        (b"\xff", "not valid CBOR"),
        (cbor2.dumps({"s": 9}), "state (key s)"),
        (cbor2.dumps({"s": 0, "v": 7}), "version (key v)"),
        (cbor2.dumps([1]), "must be a map"),
    ]:
        answer = await link.request(request(POST, ".u/c/main", body, content_format=CBOR))
        assert answer.code == Code.BAD_REQUEST
        assert part in answer.payload.decode()
    odd = await link.request(request(POST, ".u/c/no way", cbor2.dumps({}), content_format=CBOR))
    assert odd.code == Code.BAD_REQUEST
    shown = (await operator.call("GET", f"{operator.project}/devices/{device.id}"))["data"]
    assert shown["metadata"]["update"] == {}


async def test_a_deployment_of_nothing_still_has_a_sequence(
    bench: Bench, operator: Operator
) -> None:
    cohort = await operator.cohort("bench")
    await operator.deploy(cohort)
    link = await bench.link(await operator.device("camera-1", cohort))
    manifest = decode_manifest((await get(link, ".u/desired", accept=CBOR)).payload, CBOR)
    assert manifest == Manifest(manifest.sequence, (), manifest.hash)
    assert manifest.sequence > 0
