"""What an answer to a block request is worth. Pure: an answer and what was expected go in.

The number of the answer is compared with the request (Golioth: on slow links a request for block N
is now and then answered with block 0), so is every length, and what the server says about the
whole artifact.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from agent.download.engine import Block

_SMALLEST_BLOCK = 16


class Verdict(Enum):
    """What to do about an answer."""

    GOOD = auto()
    ASK_AGAIN = auto()
    """Not the block that was asked for."""
    SMALLER_BLOCKS = auto()
    """The server has smaller blocks than were asked for (RFC 7959, 2.2)."""
    OTHER_ARTIFACT = auto()
    """The ETag changed: these are not the bytes the earlier blocks belong to."""
    OTHER_SIZE = auto()
    """The server's artifact has another size than the deployment says."""


@dataclass(frozen=True)
class Expected:
    """The block that was asked for. Sizes are in bytes; ``etag`` is None while unknown."""

    number: int
    block_size: int
    total_size: int
    etag: bytes | None

    @property
    def length(self) -> int:
        """Bytes of this block."""
        return min(self.block_size, self.total_size - self.number * self.block_size)

    @property
    def is_last(self) -> bool:
        """Whether the artifact ends with this block."""
        return (self.number + 1) * self.block_size >= self.total_size


def judge(block: Block, expected: Expected) -> tuple[Verdict, str]:
    """The verdict about an answer, and the reason in words for everything that is not good."""
    length = len(block.payload)
    if _is_smaller_block(block, expected):
        return Verdict.SMALLER_BLOCKS, f"blocks of {length} bytes only"
    if block.number != expected.number:
        return Verdict.ASK_AGAIN, f"answered with block {block.number}"
    if length > expected.block_size:
        return Verdict.ASK_AGAIN, f"answered with {length} bytes"
    if block.total_size not in {None, expected.total_size}:
        return Verdict.OTHER_SIZE, f"the server has {block.total_size} bytes of it"
    if None not in {block.etag, expected.etag} and block.etag != expected.etag:
        return Verdict.OTHER_ARTIFACT, "the server's artifact was replaced (other ETag)"
    if expected.is_last and block.more:
        return Verdict.OTHER_SIZE, "the server has more bytes of it"
    if length != expected.length:
        if block.more:
            return Verdict.ASK_AGAIN, f"answered with {length} bytes"
        end = expected.number * expected.block_size + length
        return Verdict.OTHER_SIZE, f"the server's artifact ends at byte {end}"
    if not block.more and not expected.is_last:
        end = (expected.number + 1) * expected.block_size
        return Verdict.OTHER_SIZE, f"the server's artifact ends at byte {end}"
    return Verdict.GOOD, ""


def _is_smaller_block(block: Block, expected: Expected) -> bool:
    length = len(block.payload)
    is_block_size = length.bit_count() == 1 and _SMALLEST_BLOCK <= length < expected.block_size
    # Numbered in its own size as RFC 7959 has it, or in ours, as it should not be.
    same_place = block.number * length == expected.number * expected.block_size
    return block.more and is_block_size and (same_place or block.number == expected.number)
