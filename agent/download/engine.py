"""How block requests are put on the link: the part a faster engine replaces.

An engine takes requests from a :class:`BlockWork`, gets them answered by a :class:`BlockSource` and
hands the answers back in whatever order they come. It knows neither files nor releases; the work
knows nothing of links.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from protocol.errors import ProtocolError


class Block(Protocol):
    """One answer; ``total_size`` (Size2, bytes) and ``etag`` only if the server sent them."""

    @property
    def number(self) -> int:
        """Its number, in blocks of the size that was asked for."""

    @property
    def more(self) -> bool:
        """Whether the server has bytes beyond it."""

    @property
    def payload(self) -> bytes:
        """The bytes."""

    @property
    def total_size(self) -> int | None:
        """Bytes of the whole artifact as the server says."""

    @property
    def etag(self) -> bytes | None:
        """What the server calls these very contents."""


class BlockSource(Protocol):
    """Where blocks come from: a device session."""

    async def get_block(self, uri: str, number: int, size_exponent: int = 6) -> Block:
        """Fetch block ``number`` of 2^(``size_exponent`` + 4) bytes (RFC 7959).

        Raises LinkError or ResponseError. Calls may overlap.
        """


@dataclass(frozen=True)
class BlockRequest:
    """A block to ask for. ``artifact`` and ``generation`` are notes of whoever asked."""

    uri: str
    number: int
    size_exponent: int
    artifact: str
    generation: int


class BlockWork(Protocol):
    """What there is to fetch. All calls come one at a time."""

    def take(self) -> BlockRequest | None:
        """The next request, None when there is nothing to ask at present."""

    async def deliver(self, request: BlockRequest, block: Block) -> None:
        """An answer. What is raised ends the whole run."""

    def failed(self, request: BlockRequest, error: ProtocolError) -> None:
        """No answer, or an error. What is raised ends the whole run."""


class FixedWindow:
    """Keeps a constant number of requests in flight."""

    def __init__(self, source: BlockSource, in_flight: int) -> None:
        self._source = source
        self._in_flight = in_flight

    async def run(self, work: BlockWork) -> None:
        """Fetch until nothing is left to ask and nothing under way."""
        under_way: dict[asyncio.Task[Block], BlockRequest] = {}
        try:
            while self._fill(under_way, work):
                answered, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in answered:
                    await self._hand_over(task, under_way.pop(task), work)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def _fill(self, under_way: dict[asyncio.Task[Block], BlockRequest], work: BlockWork) -> bool:
        while len(under_way) < self._in_flight and (request := work.take()) is not None:
            call = self._source.get_block(request.uri, request.number, request.size_exponent)
            under_way[asyncio.ensure_future(call)] = request
        return bool(under_way)

    @staticmethod
    async def _hand_over(task: asyncio.Task[Block], request: BlockRequest, work: BlockWork) -> None:
        try:
            block = task.result()
        except ProtocolError as error:
            work.failed(request, error)
        else:
            await work.deliver(request, block)
