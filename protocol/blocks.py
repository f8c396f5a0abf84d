"""Block-wise reading (RFC 7959, Block2) by explicit random access.

aiocoap's own reassembly is lock-step, can't start in the middle and copies the whole body for
every block, so blocks are asked for one by one here. Each is a request of its own, may be repeated
and may run beside others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiocoap import Code, Message

from protocol.errors import LinkError
from protocol.formats import ContentFormat
from protocol.requests import get

MAX_SIZE_EXPONENT = 6
MAX_NUMBER = 2**20 - 1

# Golioth: on poor links a request for block N is now and then answered with block 0.
_MAX_WRONG_ANSWERS = 5
_MAX_RESTARTS = 3

Send = Callable[[Message], Awaitable[Message]]


@dataclass(frozen=True)
class Block:
    """One block of a body; ``total_size`` (Size2, bytes) and ``etag`` if the server sent them."""

    number: int
    more: bool
    payload: bytes
    total_size: int | None = None
    etag: bytes | None = None
    content_format: int | None = None


def block_size(size_exponent: int) -> int:
    """Bytes of a block with this size exponent (SZX; RFC 7959, 2.2)."""
    return 16 << size_exponent


def check_block(number: int, size_exponent: int) -> None:
    """Raise ValueError unless Block2 can ask for such a block."""
    if not (0 <= number <= MAX_NUMBER and 0 <= size_exponent <= MAX_SIZE_EXPONENT):
        raise ValueError(f"no such block: number {number}, size exponent {size_exponent}")


async def fetch_block(
    send: Send,
    uri: str,
    number: int,
    size_exponent: int = MAX_SIZE_EXPONENT,
    accept: int = ContentFormat.OCTETS,
) -> Block:
    """Ask for block ``number`` of 2^(``size_exponent`` + 4) bytes and check that this is what came.

    ``send`` sends a request and returns its 2.xx response; what it raises passes through. Answers
    that are another block are thrown away and the block is asked for again, five times at most;
    then LinkError. A block past the end may come back empty. A server may have smaller blocks
    (RFC 7959, 2.2): then the answer is a shorter block at the same place, numbered in its own size.
    """
    check_block(number, size_exponent)
    problem = ""
    for _ in range(_MAX_WRONG_ANSWERS):
        response = await send(get(uri, accept, (number, size_exponent)))
        problem = _mismatch(response, number, size_exponent)
        if not problem:
            return block_of(response)
    raise LinkError(
        f"{uri}: asked {_MAX_WRONG_ANSWERS} times for block {number} of {block_size(size_exponent)}"
        f" bytes, got {problem}; try again later"
    )


async def fetch_body(send: Send, uri: str, accept: int, max_bytes: int) -> tuple[bytes, int | None]:
    """Read a small body whole, block after block; returns it with its content format.

    Starts again when the body changes under way (ETag or size). Raises LinkError when it keeps
    changing or is larger than ``max_bytes``, and what ``send`` raises.
    """
    for _ in range(_MAX_RESTARTS):
        blocks = [await fetch_block(send, uri, 0, accept=accept)]
        exponent, read = MAX_SIZE_EXPONENT, len(blocks[0].payload)
        while blocks[-1].more and _same_body(blocks):
            if read >= max_bytes:
                raise LinkError(f"{uri}: more than {max_bytes} bytes; not read")
            exponent = min(exponent, _exponent_of(blocks[-1]))
            number = read >> (exponent + 4)
            blocks.append(await fetch_block(send, uri, number, exponent, accept))
            read += len(blocks[-1].payload)
        if _same_body(blocks):
            return b"".join(block.payload for block in blocks), blocks[0].content_format
    raise LinkError(f"{uri}: changed {_MAX_RESTARTS} times while it was read; try again later")


def _mismatch(response: Message, number: int, size_exponent: int) -> str:
    """What is wrong with this answer, empty if nothing is."""
    if response.code != Code.CONTENT:
        return f"a {response.code} instead of content"
    size = block_size(size_exponent)
    length = len(response.payload)
    option = response.opt.block2
    # Golioth: the option is left out when the whole body fits into one block.
    answered, more, exponent = (0, False, size_exponent) if option is None else option
    same_place = answered << exponent == number << size_exponent
    if not same_place or exponent > size_exponent or (exponent < size_exponent and not more):
        return f"block {answered} of {block_size(exponent)} bytes"
    if length > size or (more and length != block_size(exponent)):
        return f"{length} bytes in the block"
    return ""


def _exponent_of(block: Block) -> int:
    return len(block.payload).bit_length() - 5


def block_of(response: Message) -> Block:
    """The block in a 2.05 response."""
    option = response.opt.block2
    return Block(
        number=0 if option is None else option.block_number,
        more=option is not None and option.more,
        payload=response.payload,
        total_size=response.opt.size2,
        etag=response.opt.etag,
        content_format=response.opt.content_format,
    )


def _same_body(blocks: list[Block]) -> bool:
    first, last = blocks[0], blocks[-1]
    return _agree(first.etag, last.etag) and _agree(first.total_size, last.total_size)


def _agree(one: object, other: object) -> bool:
    # Servers may send either option with the first block only.
    return one is None or other is None or one == other
