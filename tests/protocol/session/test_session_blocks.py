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
from protocol.errors import CodecError, LinkError, ResponseError, TooManyRequests
from protocol.report import OtaReport

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


def wrong(payload: bytes, number: int, *, more: bool = True, exponent: int = 6) -> Message:
    return Message(code=CONTENT, payload=payload, block2=(number, more, exponent))


async def test_any_block_may_be_asked_for_first(device: Device) -> None:
    session = device.session
    assert await session.get_block(URI, 50) == Block(50, True, BODY[51200:52224], len(BODY))
    assert await session.get_block(URI, 100) == Block(100, False, BODY[102400:], len(BODY))
    assert await session.get_block(URI, 0) == Block(0, True, BODY[:1024], len(BODY))
    assert await session.get_block(URI, 3, 2) == Block(3, True, BODY[192:256], len(BODY))


async def test_the_leading_slash_is_optional(device: Device) -> None:
    assert await device.session.get_block(PATH, 1) == await device.session.get_block(URI, 1)


async def test_a_body_of_less_than_a_block_comes_without_block_option(
    device: Device, cloud: Cloud
) -> None:
    cloud.site.artifacts[PATH] = b"apple\norange\n"
    assert await device.session.get_block(URI, 0) == Block(0, False, b"apple\norange\n")


async def test_the_etag_is_passed_on(device: Device, cloud: Cloud) -> None:
    cloud.site.etag = b"v1"
    assert (await device.session.get_block(URI, 0)).etag == b"v1"


async def test_many_blocks_at_once_make_up_the_artifact(device: Device) -> None:
    blocks = await asyncio.gather(*(device.session.get_block(URI, n) for n in range(101)))
    body = b"".join(block.payload for block in blocks)
    assert hashlib.sha256(body).digest() == hashlib.sha256(BODY).digest()


async def test_another_block_than_the_one_asked_for_is_thrown_away(
    device: Device, cloud: Cloud
) -> None:
    cloud.site.scripted[PATH].extend([wrong(BODY[:1024], 0), wrong(BODY[:1024], 0)])
    assert (await device.session.get_block(URI, 7)).payload == BODY[7168:8192]
    assert cloud.site.paths().count(PATH) == 3


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda: wrong(BODY[:1024], 0), "block 0 of 1024 bytes"),
        (lambda: wrong(BODY[:512], 7, exponent=5), "block 7 of 512 bytes"),
        (lambda: wrong(BODY[:1000], 7), "1000 bytes in the block"),
        (lambda: wrong(BODY[:1030], 7, more=False), "1030 bytes in the block"),
        (lambda: Message(code=CONTENT, payload=BODY[:1024]), "block 0 of 1024 bytes"),
        (lambda: Message(code=CHANGED), "2.04 Changed instead of content"),
    ],
)
async def test_a_server_that_insists_on_the_wrong_block_is_given_up(
    device: Device, cloud: Cloud, answer: Callable[[], Message], told: str
) -> None:
    cloud.site.scripted[PATH].extend([answer] * 5)
    with pytest.raises(LinkError, match=rf"block 7 of 1024 bytes, got a? ?{told}"):
        await device.session.get_block(URI, 7)
    assert cloud.site.paths().count(PATH) == 5
    assert device.session.connected


@pytest.mark.parametrize("code", [NOT_FOUND, BAD_REQUEST, Code.INTERNAL_SERVER_ERROR])
async def test_an_error_code_is_not_asked_again(device: Device, cloud: Cloud, code: Code) -> None:
    cloud.site.scripted[PATH].append(Message(code=code, payload=b"no such artifact"))
    with pytest.raises(ResponseError, match="no such artifact") as caught:
        await device.session.get_block(URI, 0)
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
        *(session.get_block(URI, n) for n in range(25)),
        *(session.report(OtaReport()) for _ in range(10)),
    )
    # A burst of 5, then 45 per second: 35 requests take at least 0.66 s.
    assert cloud.site.arrivals[-1] - cloud.site.arrivals[-35] > 0.5
    # The reports came in between, not after the blocks.
    kinds = [request.code for request in cloud.site.requests[-35:]]
    assert kinds.count(POST) == 10
    assert POST not in kinds[-3:]


async def test_a_4_29_holds_everything_back_for_its_max_age(device: Device, cloud: Cloud) -> None:
    cloud.site.scripted[PATH].append(Message(code=Code.TOO_MANY_REQUESTS, max_age=1))
    with pytest.raises(TooManyRequests) as caught:
        await device.session.get_block(URI, 0)
    assert caught.value.retry_after == 1
    refused_at = cloud.site.arrivals[-1]
    await asyncio.gather(device.session.get_block(URI, 0), device.session.report(OtaReport()))
    assert all(at >= refused_at + 1 for at in cloud.site.arrivals[-2:])


async def test_4_29_without_max_age_has_no_time_of_its_own(device: Device, cloud: Cloud) -> None:
    cloud.site.scripted[PATH].append(Message(code=Code.TOO_MANY_REQUESTS))
    with pytest.raises(TooManyRequests) as caught:
        await device.session.get_block(URI, 0)
    assert caught.value.retry_after is None


@pytest.mark.parametrize("uri", ["", "/", "/.u/c/" + "x" * 256])
async def test_a_uri_that_is_no_path_is_named(device: Device, uri: str) -> None:
    with pytest.raises(CodecError, match="URI"):
        await device.session.get_block(uri, 0)


@pytest.mark.parametrize(("number", "exponent"), [(-1, 6), (2**20, 6), (0, 7)])
async def test_a_block_that_cannot_exist_is_the_callers_mistake(
    device: Device, number: int, exponent: int
) -> None:
    with pytest.raises(ValueError, match="no such block"):
        await device.session.get_block(URI, number, exponent)
