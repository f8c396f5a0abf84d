"""Reading blocks from servers that answer as they like."""

from __future__ import annotations

import pytest
from aiocoap import GET, Message
from aiocoap.numbers.codes import Code
from aiocoap.optiontypes import BlockOption

from protocol.blocks import fetch_block, fetch_body
from protocol.errors import LinkError

BODY = bytes(range(256)) * 9


class Server:
    """Serves BODY in blocks of its own size at most, as RFC 7959, 2.2 lets it."""

    def __init__(self, exponent: int) -> None:
        self.exponent = exponent
        self.asked: list[tuple[int, int]] = []

    async def __call__(self, request: Message) -> Message:
        assert request.code == GET
        number, _, exponent = request.opt.block2
        self.asked.append((number, exponent))
        offset, mine = number << (exponent + 4), min(exponent, self.exponent)
        size = 16 << mine
        more = offset + size < len(BODY)
        answer = Message(code=Code.CONTENT, payload=BODY[offset : offset + size])
        answer.opt.block2 = BlockOption.BlockwiseTuple(offset // size, more, mine)
        return answer


async def test_a_smaller_block_at_the_right_place_is_passed_on() -> None:
    server = Server(exponent=5)
    block = await fetch_block(server, "a", 1)
    assert (block.number, len(block.payload), block.more) == (2, 512, True)
    assert block.payload == BODY[1024:1536]
    assert server.asked == [(1, 6)]


@pytest.mark.parametrize("exponent", range(7))
async def test_a_body_is_read_whole_in_blocks_of_any_size(exponent: int) -> None:
    body, _ = await fetch_body(Server(exponent), "a", 60, max_bytes=10_000)
    assert body == BODY


async def test_a_body_larger_than_allowed_is_not_read() -> None:
    with pytest.raises(LinkError, match="more than 1024 bytes"):
        await fetch_body(Server(6), "a", 60, max_bytes=1024)


async def test_a_block_from_another_place_is_asked_for_again_but_not_for_ever() -> None:
    class Stuck(Server):
        async def __call__(self, request: Message) -> Message:
            request.opt.block2 = (0, False, 6)
            return await super().__call__(request)

    server = Stuck(6)
    with pytest.raises(LinkError, match="got block 0"):
        await fetch_block(server, "a", 1)
    assert len(server.asked) == 5
