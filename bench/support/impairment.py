"""What becomes of each datagram of one direction. Pure: time and a seed go in.

Every datagram costs the same number of throws of the dice, so the n-th of a direction meets the
same fate in every run with the same seed and conditions, whenever it comes.
"""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass

from bench.support.conditions import HEADER_BYTES, Way

Departures = list[tuple[float, bytes]]
"""When to send what."""

_THROWS = 6
_FULL = 1024


@dataclass
class Tally:
    """Datagrams of one direction. ``overflowed`` found the queue full, ``cut`` a cut link.

    Of those that ``passed``, ``full`` ones are long enough to hold a block of 1,024 bytes.
    """

    passed: int = 0
    passed_bytes: int = 0
    full: int = 0
    lost: int = 0
    overflowed: int = 0
    cut: int = 0
    duplicated: int = 0
    reordered: int = 0
    corrupted: int = 0

    def pass_on(self, size: int) -> None:
        """Count a datagram of so many bytes that leaves the link."""
        self.passed += 1
        self.passed_bytes += size
        self.full += size >= _FULL


class Impairment:
    """One direction. ``way`` may be replaced at any time."""

    def __init__(self, way: Way, seed: str) -> None:
        self.way = way
        self.tally = Tally()
        self.queue_delays = array("d")
        self._dice = random.Random(seed)
        self._free_at = self._last_due = float("-inf")

    def offer(self, now: float, datagram: bytes) -> Departures:
        """When the datagram leaves, as what: nothing if it is lost, two if it is duplicated."""
        way, tally = self.way, self.tally
        throw = self._dice.random
        loss, twice, held, spoiled, late, where = [throw() for _ in range(_THROWS)]
        if loss < way.loss:
            tally.lost += 1
            return []
        through = self._queue(now, len(datagram))
        if through is None:
            tally.overflowed += 1
            return []
        self._last_due = due = max(through + way.delay + late * way.jitter, self._last_due)
        if held < way.reorder:
            tally.reordered += 1
            due += way.reorder_by
        if spoiled < way.corrupt:
            tally.corrupted += 1
            datagram = _flipped(datagram, where)
        if twice < way.duplicate:
            tally.duplicated += 1
            return [(due, datagram), (due, datagram)]
        return [(due, datagram)]

    def _queue(self, now: float, size: int) -> float | None:
        """When the datagram is through the bottleneck, None if it does not fit into the queue."""
        if self.way.bits_per_second is None:
            return now
        waits = max(0.0, self._free_at - now)
        if waits > self.way.queue:
            return None
        self.queue_delays.append(waits)
        self._free_at = now + waits + (size + HEADER_BYTES) * 8 / self.way.bits_per_second
        return self._free_at


def _flipped(datagram: bytes, where: float) -> bytes:
    if not datagram:
        return datagram
    position = int(where * len(datagram) * 8)
    changed = bytearray(datagram)
    changed[position // 8] ^= 1 << position % 8
    return bytes(changed)
