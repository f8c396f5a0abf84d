"""Documents for the stream: short ones in one message, long ones in blocks a server can follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from aiocoap import CONTINUE, POST, REQUEST_ENTITY_INCOMPLETE, Message
from aiocoap.optiontypes import BlockOption

from protocol.errors import ResponseError

if TYPE_CHECKING:
    from tests.protocol.session.conftest import Cloud, Device

    StartDevice = Callable[..., Device]

BODY = bytes(range(256)) * 9
PATH = ".s/edgeferry/metrics"


@pytest.fixture
async def device(start_device: StartDevice) -> Device:
    device = start_device()
    await device.connected()
    return device


def sent(cloud: Cloud) -> list[Message]:
    return [r for r in cloud.site.requests if r.code is POST and "/".join(r.opt.uri_path) == PATH]


def goes_on(number: int, exponent: int) -> Message:
    block1 = BlockOption.BlockwiseTuple(number, True, exponent)
    return Message(code=CONTINUE, block1=block1)


async def test_a_short_one_is_one_message(cloud: Cloud, device: Device) -> None:
    await device.session.stream("edgeferry/metrics", BODY[:1024])
    (message,) = sent(cloud)
    assert (message.payload, message.opt.block1) == (BODY[:1024], None)


async def test_all_blocks_of_a_long_one_bear_one_token_and_come_in_order(
    cloud: Cloud, device: Device
) -> None:
    for _ in range(2):
        await device.session.stream("edgeferry/metrics", BODY)
    blocks = sent(cloud)
    first, second = blocks[:3], blocks[3:]
    for body in (first, second):
        assert b"".join(block.payload for block in body) == BODY
        assert [block.opt.block1 for block in body] == [(0, True, 6), (1, True, 6), (2, False, 6)]
        assert len({block.token for block in body}) == 1
        assert {block.opt.content_format for block in body} == {50}
    # A new body is a new token, or go-coap would append it to the one before.
    assert first[0].token != second[0].token


async def test_a_server_may_want_smaller_blocks(cloud: Cloud, device: Device) -> None:
    cloud.site.scripted[PATH] += [goes_on(0, 5), goes_on(2, 5), goes_on(3, 5)]
    await device.session.stream("edgeferry/metrics", BODY)
    blocks = sent(cloud)
    assert b"".join(block.payload for block in blocks) == BODY
    assert [tuple(block.opt.block1) for block in blocks] == [
        (0, True, 6),
        (2, True, 5),
        (3, True, 5),
        (4, False, 5),
    ]


async def test_a_server_that_lost_a_block_is_told_all_of_it_again(
    cloud: Cloud, device: Device
) -> None:
    cloud.site.scripted[PATH] += [goes_on(0, 6), Message(code=REQUEST_ENTITY_INCOMPLETE)]
    with pytest.raises(ResponseError):
        await device.session.stream("edgeferry/metrics", BODY)
    await device.session.stream("edgeferry/metrics", BODY)
    begun, again = sent(cloud)[:2], sent(cloud)[2:]
    assert b"".join(block.payload for block in again) == BODY
    assert again[0].token != begun[0].token
