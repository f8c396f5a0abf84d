"""Blocks are fetched in any order and number, and are the right ones or an error."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from aiocoap import BAD_REQUEST, CHANGED, CONTENT, NOT_FOUND, POST, Code, Message

from protocol.blocks import Block
from protocol.errors import (
    CodecError,
    LinkError,
    LinkLost,
    ProtocolError,
    ResponseError,
    TooManyRequests,
)
from protocol.report import OtaReport
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.protocol.session.conftest import Cloud, Device

    StartDevice = Callable[..., Device]

URI = "/.u/c/ai-model@1"
PATH = ".u/c/ai-model@1"
BODY = random.Random(1).randbytes(100 * 1024 + 300)


@pytest.fixture
async def device(cloud: Cloud, start_device: StartDevice) -> Device:
    cloud.site.artifacts[PATH] = BODY
    device = start_device()
    await device.manifest()
    return device


async def get_block(
    device: Device, uri: str, number: int, exponent: int = 6, *, confirmable: bool = False
) -> Block:
    """Ask in turn and wait for the answer."""
    answered: asyncio.Future[Block] = asyncio.get_running_loop().create_future()

    def settle(outcome: Block | ProtocolError) -> None:
        if isinstance(outcome, ProtocolError):
            answered.set_exception(outcome)
        else:
            answered.set_result(outcome)

    await device.session.block_turn(16 << exponent)
    device.session.ask_block(uri, number, exponent, settle, confirmable=confirmable)
    return await answered


def wrong(payload: bytes, number: int, *, more: bool = True, exponent: int = 6) -> Message:
    return Message(code=CONTENT, payload=payload, block2=(number, more, exponent))


async def test_any_block_may_be_asked_for_first(device: Device) -> None:
    assert await get_block(device, URI, 50) == Block(50, True, BODY[51200:52224], len(BODY))
    assert await get_block(device, URI, 100) == Block(100, False, BODY[102400:], len(BODY))
    assert await get_block(device, URI, 0) == Block(0, True, BODY[:1024], len(BODY))
    assert await get_block(device, URI, 3, 2) == Block(3, True, BODY[192:256], len(BODY))


async def test_the_leading_slash_is_optional(device: Device) -> None:
    assert await get_block(device, PATH, 1) == await get_block(device, URI, 1)


async def test_a_body_of_less_than_a_block_comes_without_block_option(
    device: Device, cloud: Cloud
) -> None:
    cloud.site.artifacts[PATH] = b"apple\norange\n"
    assert await get_block(device, URI, 0) == Block(0, False, b"apple\norange\n")


async def test_the_etag_is_passed_on(device: Device, cloud: Cloud) -> None:
    cloud.site.etag = b"v1"
    assert (await get_block(device, URI, 0)).etag == b"v1"


async def test_many_blocks_at_once_make_up_the_artifact(device: Device) -> None:
    blocks = await asyncio.gather(*(get_block(device, URI, n) for n in range(101)))
    body = b"".join(block.payload for block in blocks)
    assert hashlib.sha256(body).digest() == hashlib.sha256(BODY).digest()


async def test_another_block_than_the_one_asked_for_is_passed_on_as_what_it_is(
    device: Device, cloud: Cloud
) -> None:
    cloud.site.scripted[PATH].append(wrong(BODY[:1024], 0))
    assert await get_block(device, URI, 7) == Block(0, True, BODY[:1024])


async def test_a_success_without_content_is_no_answer(device: Device, cloud: Cloud) -> None:
    cloud.site.scripted[PATH].append(Message(code=CHANGED))
    with pytest.raises(LinkError, match=r"2\.04 Changed instead of content"):
        await get_block(device, URI, 7)


async def test_an_answer_with_options_nobody_expects_is_read_all_the_same(
    device: Device, cloud: Cloud
) -> None:
    unusual = Message(code=CONTENT, payload=BODY[:1024], block2=(0, True, 6), location_path=["x"])
    cloud.site.scripted[PATH].append(unusual)
    assert await get_block(device, URI, 0) == Block(0, True, BODY[:1024])


@pytest.mark.parametrize("confirmable", [False, True])
async def test_a_late_answer_is_acknowledged_and_used(
    device: Device, cloud: Cloud, confirmable: bool
) -> None:
    cloud.site.answering.clear()
    asked = asyncio.ensure_future(get_block(device, URI, 3, confirmable=confirmable))
    await eventually(lambda: PATH in cloud.site.paths())
    before = device.session.traffic.received_bytes
    # The server acknowledges what must be acknowledged when its answer takes long.
    await eventually(lambda: device.session.traffic.received_bytes > before or not confirmable)
    cloud.site.answering.set()
    assert (await asked).payload == BODY[3072:4096]


async def test_a_forgotten_request_is_never_settled(device: Device, cloud: Cloud) -> None:
    cloud.site.answering.clear()
    settled: list[object] = []
    token = device.session.ask_block(URI, 0, 6, settled.append, confirmable=False)
    device.session.forget_block(token)
    cloud.site.answering.set()
    assert (await get_block(device, URI, 1)).number == 1
    assert settled == []


async def test_what_is_under_way_fails_with_the_link(device: Device, cloud: Cloud) -> None:
    cloud.site.answering.clear()
    asked = [asyncio.ensure_future(get_block(device, URI, n)) for n in range(5)]
    await eventually(lambda: cloud.site.paths().count(PATH) == 5)
    device.session.give_up_link("it is of no use")
    for waiting in asked:
        with pytest.raises(LinkLost, match="of no use"):
            await waiting
    with pytest.raises(LinkLost):
        await get_block(device, URI, 0)
    connections = [(await device.connection())[0] for _ in range(3)]
    assert connections == [True, False, True]
    cloud.site.answering.set()
    assert (await get_block(device, URI, 1)).number == 1


@pytest.mark.parametrize("code", [NOT_FOUND, BAD_REQUEST, Code.INTERNAL_SERVER_ERROR])
async def test_an_error_code_is_not_asked_again(device: Device, cloud: Cloud, code: Code) -> None:
    cloud.site.scripted[PATH].append(Message(code=code, payload=b"no such artifact"))
    with pytest.raises(ResponseError, match="no such artifact") as caught:
        await get_block(device, URI, 0)
    assert caught.value.code == code
    assert cloud.site.paths().count(PATH) == 1


async def test_blocks_and_messages_share_one_budget(
    cloud: Cloud, start_device: StartDevice
) -> None:
    cloud.site.artifacts[PATH] = BODY
    device = start_device(requests_per_second=50)
    await device.manifest()
    session = device.session
    await asyncio.gather(
        *(get_block(device, URI, n) for n in range(25)),
        *(session.report(OtaReport()) for _ in range(10)),
    )
    # One at a time, 49.75 per second: 35 requests take 0.7 s.
    assert cloud.site.arrivals[-1] - cloud.site.arrivals[-35] > 0.6
    # The reports came in between, not after the blocks.
    kinds = [request.code for request in cloud.site.requests[-35:]]
    assert kinds.count(POST) == 10
    assert POST not in kinds[-3:]


async def test_a_4_29_holds_everything_back_for_its_max_age(device: Device, cloud: Cloud) -> None:
    cloud.site.scripted[PATH].append(Message(code=Code.TOO_MANY_REQUESTS, max_age=1))
    with pytest.raises(TooManyRequests) as caught:
        await get_block(device, URI, 0)
    assert caught.value.retry_after == 1
    refused_at = cloud.site.arrivals[-1]
    await asyncio.gather(get_block(device, URI, 0), device.session.report(OtaReport()))
    assert all(at >= refused_at + 1 for at in cloud.site.arrivals[-2:])


async def test_4_29_without_max_age_has_no_time_of_its_own(device: Device, cloud: Cloud) -> None:
    cloud.site.scripted[PATH].append(Message(code=Code.TOO_MANY_REQUESTS))
    with pytest.raises(TooManyRequests) as caught:
        await get_block(device, URI, 0)
    assert caught.value.retry_after is None


@pytest.mark.parametrize("uri", ["", "/", "/.u/c/" + "x" * 256])
async def test_a_uri_that_is_no_path_is_named(device: Device, uri: str) -> None:
    with pytest.raises(CodecError, match="URI"):
        await get_block(device, uri, 0)


@pytest.mark.parametrize(("number", "exponent"), [(-1, 6), (2**20, 6), (0, 7)])
async def test_a_block_that_cannot_exist_is_the_callers_mistake(
    device: Device, number: int, exponent: int
) -> None:
    with pytest.raises(ValueError, match="no such block"):
        await get_block(device, URI, number, exponent)
