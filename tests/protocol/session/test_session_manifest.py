"""The manifest comes in, by notification or by poll, and reports go out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import cbor2
import pytest
from aiocoap import CONTENT, POST, SERVICE_UNAVAILABLE, Code, Message
from aiocoap.numbers.codes import FORBIDDEN

from protocol.errors import CodecError, LinkError, ResponseError
from protocol.formats import ContentFormat
from protocol.manifest import Component, Manifest
from protocol.report import OtaReason, OtaReport, OtaState, decode_report
from protocol.values import LogLevel, LogLine, decode_log
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.protocol.session.conftest import Cloud, Device, Relay

    StartDevice = Callable[..., Device]

EMPTY = Manifest(0, ())
FIRST = Manifest(1, (Component("ai-model", "1", "a" * 64, 5, "/.u/c/ai-model@1"),))
SECOND = Manifest(2, (Component("ai-model", "2", "b" * 64, 6, "/.u/c/ai-model@2"),))
# About 120 bytes per component: four blocks of 1024 bytes.
LARGE = Manifest(
    3,
    tuple(
        Component(f"package-{n}", "1.0.0", f"{n:064x}", n, f"/.u/c/package-{n}@1.0.0")
        for n in range(40)
    ),
)


async def test_the_manifest_is_observed_in_cbor(cloud: Cloud, start_device: StartDevice) -> None:
    device = start_device()
    assert await device.manifest() == EMPTY
    cloud.site.deploy(FIRST)
    assert await device.manifest() == FIRST
    cloud.site.deploy(SECOND)
    assert await device.manifest() == SECOND
    first = cloud.site.requests[0]
    assert first.opt.uri_path == (".u", "desired")
    assert (first.opt.observe, first.opt.accept) == (0, ContentFormat.CBOR)
    assert len(first.token) == 8
    assert cloud.site.observations() == 1


async def test_a_manifest_that_nobody_was_told_of_is_found_by_polling(
    cloud: Cloud, start_device: StartDevice
) -> None:
    device = start_device(poll_interval=0.1)
    await device.manifest()
    cloud.site.forget_observers()
    cloud.site.deploy(FIRST)
    await device.until(FIRST)
    # The dead observation is replaced: the next change is pushed again.
    await eventually(lambda: cloud.site.observations() == 2)
    cloud.site.deploy(SECOND)
    await device.until(SECOND)


async def test_polling_an_unchanged_manifest_keeps_the_observation(
    cloud: Cloud, start_device: StartDevice
) -> None:
    cloud.site.deploy(FIRST)
    device = start_device(poll_interval=0.05)
    for _ in range(4):
        assert await device.manifest() == FIRST
    assert cloud.site.observations() == 1
    assert device.connections.qsize() == 1


async def test_a_server_that_allows_no_observation_is_asked_again_and_again(
    cloud: Cloud, start_device: StartDevice
) -> None:
    cloud.site.observable = False
    device = start_device(poll_interval=0.1)
    assert await device.manifest() == EMPTY
    cloud.site.deploy(FIRST)
    await device.until(FIRST)
    assert device.connections.qsize() == 1


@pytest.mark.parametrize("code", [FORBIDDEN, SERVICE_UNAVAILABLE])
async def test_a_refused_observation_is_tried_again_on_the_same_link(
    cloud: Cloud, start_device: StartDevice, caplog: pytest.LogCaptureFixture, code: Code
) -> None:
    for _ in range(3):
        cloud.site.scripted[".u/desired"].append(Message(code=code, payload=b"not now"))
    device = start_device()
    assert await device.manifest() == EMPTY
    cloud.site.deploy(FIRST)
    await device.until(FIRST)
    assert len(cloud.remotes) == 1
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warnings == [f"manifest: the server answered {code}: not now"]


async def test_an_observation_that_the_server_ends_is_registered_anew(
    cloud: Cloud, start_device: StartDevice
) -> None:
    device = start_device()
    await device.manifest()
    cloud.site.updated_state(Message(code=SERVICE_UNAVAILABLE))
    await eventually(lambda: cloud.site.observations() == 2)
    cloud.site.deploy(FIRST)
    await device.until(FIRST)
    assert len(cloud.remotes) == 1


async def test_the_bare_ok_is_ignored(cloud: Cloud, start_device: StartDevice) -> None:
    cloud.site.scripted[".u/desired"].append(Message(code=CONTENT, payload=b"\x62OK"))
    device = start_device()
    await eventually(lambda: cloud.site.observations() == 1)
    cloud.site.deploy(FIRST)
    # What the OK stood for is asked for meanwhile.
    await device.until(FIRST)


async def test_a_malformed_manifest_is_not_delivered_and_the_next_one_is(
    cloud: Cloud, start_device: StartDevice, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.site.body = cbor2.dumps({1: 5, 3: [{1: "ai-model"}]})
    device = start_device()
    await eventually(lambda: len(caplog.records) == 1)
    cloud.site.deploy(FIRST)
    assert await device.manifest() == FIRST
    assert cloud.site.observations() == 1, "the observation goes on"
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warnings == ["manifest: manifest.components[0].hash (key 3): is missing"]


async def test_a_manifest_of_several_blocks_is_read_whole(
    cloud: Cloud, start_device: StartDevice
) -> None:
    device = start_device()
    await device.manifest()
    cloud.site.deploy(LARGE)
    assert len(cloud.site.body) > 3 * 1024
    assert await device.manifest() == LARGE
    assert await device.session.fetch_manifest() == LARGE


async def test_a_manifest_that_changes_while_it_is_read_is_read_again(
    cloud: Cloud, start_device: StartDevice
) -> None:
    device = start_device()
    await device.manifest()
    cloud.site.deploy(LARGE, notify=False)
    cloud.site.etag = b"1"

    def change() -> Message:
        cloud.site.deploy(SECOND, notify=False)
        cloud.site.etag = b"2"
        return Message(code=CONTENT, payload=cloud.site.body, etag=b"2", block2=(0, False, 6))

    cloud.site.scripted[".u/desired"].extend([lambda: first_block(cloud), change])
    assert await device.session.fetch_manifest() == SECOND


def first_block(cloud: Cloud) -> Message:
    body = cloud.site.body
    return Message(
        code=CONTENT, payload=body[:1024], etag=b"1", block2=(0, True, 6), size2=len(body)
    )


async def test_an_endless_manifest_is_not_read_for_ever(
    cloud: Cloud, start_device: StartDevice
) -> None:
    device = start_device()
    await device.manifest()
    cloud.site.body = bytes(300 * 1024)
    with pytest.raises(LinkError, match="more than 262144 bytes"):
        await device.session.fetch_manifest()


async def test_reports_state_and_logs_go_to_their_paths(
    cloud: Cloud, start_device: StartDevice
) -> None:
    device = start_device()
    await device.connected()
    report = OtaReport("ai-model", OtaState.UPDATING, OtaReason.IO, "1", "2")
    line = LogLine(LogLevel.INFO, "agent", "hello")
    await device.session.report(report)
    await device.session.set_state("edgeferry", {"state": "idle", "progress": 0.5})
    await device.session.log(line)
    posts = {"/".join(r.opt.uri_path): r for r in cloud.site.requests if r.code is POST}
    assert decode_report(posts[".u/c/ai-model"].payload) == report
    assert cbor2.loads(posts[".d/edgeferry"].payload) == {"state": "idle", "progress": 0.5}
    assert decode_log(posts[".s/logs"].payload) == (line, {})
    assert {r.opt.content_format for r in posts.values()} == {ContentFormat.CBOR}


async def test_an_error_code_says_what_the_server_said(
    cloud: Cloud, start_device: StartDevice
) -> None:
    device = start_device()
    await device.connected()
    cloud.site.scripted[".d/edgeferry"].append(
        Message(code=FORBIDDEN, payload=b"no\x1b[31m way\xff")
    )
    with pytest.raises(ResponseError, match=r"4\.03 Forbidden: no\?\[31m way") as caught:
        await device.session.set_state("edgeferry", 1)
    assert caught.value.code == FORBIDDEN


async def test_a_state_too_large_for_a_message_is_refused_before_it_is_sent(
    cloud: Cloud, start_device: StartDevice
) -> None:
    device = start_device()
    await device.connected()
    with pytest.raises(CodecError, match=r"\.d/edgeferry: 1103 bytes are more than the 1024"):
        await device.session.set_state("edgeferry", "x" * 1100)
    assert cloud.site.paths(POST) == []


async def test_an_answer_may_come_long_after_the_acknowledgement(
    cloud: Cloud, relay: Relay, start_device: StartDevice
) -> None:
    device = start_device(relay.port)
    await device.manifest()
    cloud.site.answering.clear()
    before = relay.bytes_down
    report = asyncio.create_task(device.session.report(OtaReport()))
    await eventually(lambda: relay.bytes_down > before)  # the empty acknowledgement
    assert not report.done()
    cloud.site.answering.set()
    await report
    assert cloud.site.paths(POST) == [".u/c/main"]
