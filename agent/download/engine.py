"""What the download engine stands between: the work, and where blocks come from.

An engine takes requests from a :class:`BlockWork`, gets them answered by a :class:`BlockSource` and
hands the answers back in whatever order they come. It knows neither files nor releases; the work
knows nothing of links.
"""

from __future__ import annotations

from collections.abc import Callable
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


Settle = Callable[[Block | ProtocolError], None]


class BlockSource(Protocol):
    """Where blocks come from: a device session."""

    def ask_block(
        self, uri: str, number: int, size_exponent: int, settle: Settle, *, confirmable: bool
    ) -> bytes:
        """Ask once for block ``number`` of 2^(``size_exponent`` + 4) bytes (RFC 7959).

        ``settle`` gets the answer or the error; or nothing ever comes. Returns a token. Raises
        LinkError.
        """

    def forget_block(self, token: bytes) -> None:
        """Don't settle this request any more."""

    def block_turn_at_once(self, block_size: int) -> bool:
        """Take the turn for one request, if the budget has one now."""

    async def block_turn(self, block_size: int) -> None:
        """Wait for the turn for one request."""

    async def wait_connected(self) -> None:
        """Return as soon as a link is up."""

    def give_up_link(self, reason: str) -> None:
        """Replace the link: it has gone silent."""


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """A block to ask for. ``artifact`` and ``generation`` are notes of whoever asked."""

    uri: str
    number: int
    size_exponent: int
    artifact: str
    generation: int

    @property
    def block_size(self) -> int:
        """Bytes asked for."""
        return 16 << self.size_exponent


class BlockWork(Protocol):
    """What there is to fetch. Whatever it raises ends the whole run."""

    @property
    def busy(self) -> bool:
        """Whether it does something beside, after which there may be more to take."""

    def take(self) -> BlockRequest | None:
        """The next request, None when there is nothing to ask at present."""

    def wants(self, request: BlockRequest) -> bool:
        """Whether an answer to this request still matters."""

    def deliver(self, request: BlockRequest, block: Block) -> None:
        """An answer."""

    def failed(self, request: BlockRequest, error: ProtocolError) -> None:
        """An error instead of an answer, or no answer for too long."""

    def on_rest(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` whenever something done beside has ended."""
