"""A set of block numbers, compact on disk.

Blocks arrive nearly in order, so a set is a finished beginning and a short bitmap of what lies
beyond it: four bytes for a plain download, however long it is.
"""

from __future__ import annotations

from collections.abc import Iterable

_PREFIX_BYTES = 4


class BlockSet:
    """Numbers from 0 to ``total - 1``."""

    def __init__(self, total: int, numbers: Iterable[int] = ()) -> None:
        self.total = total
        self._prefix = 0
        self._beyond: set[int] = set()
        for number in numbers:
            self.add(number)

    def add(self, number: int) -> bool:
        """Add a number; False when it was there already. Raises ValueError outside the range."""
        if not 0 <= number < self.total:
            raise ValueError(f"block {number} is not one of {self.total}")
        if number in self:
            return False
        self._beyond.add(number)
        while self._prefix in self._beyond:
            self._beyond.remove(self._prefix)
            self._prefix += 1
        return True

    def __contains__(self, number: int) -> bool:
        return 0 <= number < self._prefix or number in self._beyond

    def __len__(self) -> int:
        return self._prefix + len(self._beyond)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BlockSet):
            return NotImplemented
        mine, theirs = (self.total, self._prefix), (other.total, other._prefix)
        return mine == theirs and self._beyond == other._beyond

    __hash__ = None  # type: ignore[assignment]  # it changes

    @property
    def complete(self) -> bool:
        """Whether every number is in the set."""
        return len(self) == self.total

    def next_missing(self, start: int) -> int | None:
        """The smallest number from ``start`` on that is not in the set, None if there is none."""
        number = max(start, self._prefix)
        while number in self._beyond:
            number += 1
        return number if number < self.total else None

    def below(self, limit: int) -> BlockSet:
        """The same set without the numbers from ``limit`` on."""
        kept = BlockSet(self.total)
        kept._prefix = min(self._prefix, limit)
        kept._beyond = {number for number in self._beyond if number < limit}
        return kept

    def split(self, factor: int, total: int) -> BlockSet:
        """The same bytes in blocks smaller by ``factor``, ``total`` of them."""
        parts = BlockSet(total)
        parts._prefix = min(self._prefix * factor, total)
        for number in self._beyond:
            for part in range(number * factor, min((number + 1) * factor, total)):
                parts.add(part)
        return parts

    def encode(self) -> bytes:
        """The finished beginning as 4 bytes, big-endian; then one bit per block from there on.

        The lowest bit of the first byte is the first block of them.
        """
        bits = 0
        for number in self._beyond:
            bits |= 1 << (number - self._prefix)
        bitmap = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
        return self._prefix.to_bytes(_PREFIX_BYTES, "big") + bitmap

    @classmethod
    def decode(cls, encoded: bytes, total: int) -> BlockSet:
        """Read what :meth:`encode` wrote. Raises ValueError for anything else."""
        prefix = int.from_bytes(encoded[:_PREFIX_BYTES], "big")
        bits = int.from_bytes(encoded[_PREFIX_BYTES:], "little")
        if len(encoded) < _PREFIX_BYTES or prefix + bits.bit_length() > total:
            raise ValueError(f"no set of {total} blocks: {encoded[:16].hex()}")
        decoded = cls(total)
        decoded._prefix = prefix
        for position in range(bits.bit_length()):
            if bits >> position & 1:
                decoded.add(prefix + position)
        return decoded
