"""Building CoAP answers: formats, blocks, refusals."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from aiocoap import Code, Message
from aiocoap.optiontypes import BlockOption

from protocol.blocks import MAX_SIZE_EXPONENT, Block, block_size
from protocol.formats import ContentFormat

_RESERVED_EXPONENT = 7


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """An error answer; the text becomes its diagnostic payload."""

    def __init__(self, code: Code, text: str, max_age: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.max_age = max_age

    def message(self) -> Message:
        """The answer."""
        answer = Message(code=self.code, payload=str(self).encode())
        if self.max_age is not None:
            answer.opt.max_age = self.max_age
        return answer


class Body(Protocol):
    """What a block-wise answer is cut from."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def read(self, start: int, length: int) -> bytes:
        """Bytes from ``start`` on, fewer than ``length`` at the end."""


@dataclass(frozen=True)
class BytesBody:
    """A body in memory."""

    content: bytes

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.content)

    def read(self, start: int, length: int) -> bytes:
        """A slice."""
        return self.content[start : start + length]


def cut(body: Body, number: int, size_exponent: int) -> Block | None:
    """Block ``number`` of 2^(``size_exponent`` + 4) bytes; None past the end."""
    size = block_size(size_exponent)
    start = number * size
    if start > body.size:
        return None
    payload = body.read(start, size)
    return Block(number, start + len(payload) < body.size, payload, body.size)


def content(request: Message, body: Body, content_format: ContentFormat | None = None) -> Message:
    """2.05 with the block the request asks for, or the first (RFC 7959, 2.4).

    Nothing is remembered between blocks: any index may be asked for with any token. Golioth: a body
    shorter than a block goes without Block2; every other answer has it, and Size2. Raises Refusal
    with 4.08 for a block past the end.
    """
    asked = request.opt.block2
    exponent = MAX_SIZE_EXPONENT if asked is None else asked.size_exponent
    if exponent == _RESERVED_EXPONENT:
        raise Refusal(Code.BAD_REQUEST, "Block2: size exponent 7 is reserved")
    number = 0 if asked is None else asked.block_number
    block = cut(body, number, exponent)
    if block is None:
        raise Refusal(
            Code.REQUEST_ENTITY_INCOMPLETE, f"block {number} is past the end of {body.size} bytes"
        )
    answer = Message(code=Code.CONTENT, payload=block.payload)
    if content_format is not None:
        answer.opt.content_format = int(content_format)
    if body.size >= block_size(exponent):
        answer.opt.block2 = BlockOption.BlockwiseTuple(number, block.more, exponent)
        answer.opt.size2 = body.size
    return answer


def accepted_format(request: Message) -> ContentFormat:
    """CBOR or JSON as the request accepts; JSON when it does not say (Golioth).

    Whatever a cancelled observation accepts will do: Golioth's Zephyr SDK sends odd numbers there.
    """
    accept = request.opt.accept
    if accept is None or int(accept) == ContentFormat.JSON:
        return ContentFormat.JSON
    if int(accept) == ContentFormat.CBOR:
        return ContentFormat.CBOR
    if request.opt.observe == 1:
        return ContentFormat.JSON
    raise Refusal(Code.NOT_ACCEPTABLE, f"Accept {int(accept)}: use CBOR (60) or JSON (50)")


class ObserveClock:
    """Observe sequence numbers: milliseconds modulo 2^24, never twice the same in a row."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """The next number."""
        self._last = max(self._last + 1, time.time_ns() // 1_000_000)
        return self._last % (1 << 24)
