"""How many blocks may be under way. Pure: no clock, no link.

The window follows the delay, as in FAST TCP and Vegas: it aims at a small queue, a few blocks and a
few milliseconds, which keeps the link busy and everybody else's packets quick. Several downloads
over one link find equal shares, because each keeps the same number of blocks queued.

Lost blocks alone are no congestion: radio links lose at random, with an empty queue. They count
where a queue is seen as well, or when so many are lost that a short buffer must be overflowing.
"""

from __future__ import annotations

from agent.download.round_trips import RoundTrips

INITIAL_WINDOW = 10  # RFC 6928, for segments of about this size
_SMALLEST_WINDOW = 2
_QUEUE_BLOCKS = 4.0
_QUEUE_SHARE = 1 / 8  # of the empty link's round trip
_SHORTEST_QUEUE, _LONGEST_QUEUE = 0.005, 0.025  # seconds
_GAIN = 0.5
_DECREASE = 0.7
# Of the blocks of a round: with and without a queue.
_LOSS_WITH_QUEUE, _LOSS_ALONE = 0.02, 0.25
_FEWEST_LOST = 4


class Congestion:
    """The window of one download, in blocks, between 1 and ``largest``.

    Tell it of every answer and every loss; ``round_trips`` is kept up to date by the caller, before
    the answer is told here.
    """

    def __init__(self, round_trips: RoundTrips, largest: int) -> None:
        self._round_trips = round_trips
        self._largest = float(largest)
        self._size = min(float(INITIAL_WINDOW), self._largest)
        self._slow_start_up_to = self._largest
        self._slow_start = True
        self._round_ends = 0.0
        self._answered = self._lost = 0

    @property
    def window(self) -> int:
        """Blocks that may be under way."""
        return int(self._size)

    @property
    def in_slow_start(self) -> bool:
        """Whether it still doubles with every round trip."""
        return self._slow_start

    def answered(self, now: float, *, window_full: bool) -> None:
        """An answer came; it may grow only if the window was what held requests back."""
        self._answered += 1
        if now >= self._round_ends:
            self._end_round(now)
        excess = self._queued() - self._allowance()
        if self._slow_start and excess > 0:
            self._slow_start = False
            self._resize(self._size - excess)
        elif self._slow_start and window_full:
            self._resize(self._size + 1)
            self._slow_start = self._size < self._slow_start_up_to
        elif window_full or excess > 0:
            self._resize(self._size + _GAIN * max(-self._size, -excess) / self._size)

    def lost(self) -> None:
        """A request or its answer was lost."""
        self._lost += 1

    def silent(self) -> None:
        """Nothing at all came for a whole timeout: begin anew, carefully."""
        if self._size > _SMALLEST_WINDOW:
            self._slow_start_up_to = max(_SMALLEST_WINDOW * 2.0, self._size / 2)
        self._slow_start = True
        self._resize(1.0)

    def refused(self) -> None:
        """The server can't do so many at a time."""
        self._slow_start = False
        self._resize(self._size / 2)

    def _end_round(self, now: float) -> None:
        share = self._lost / (self._answered + self._lost)
        queued = self._queued() > self._allowance() / 2
        too_many = share > _LOSS_ALONE and self._lost >= _FEWEST_LOST
        if too_many or (queued and share > _LOSS_WITH_QUEUE):
            self._slow_start = False
            self._resize(self._size * _DECREASE)
        self._answered = self._lost = 0
        self._round_ends = now + (self._round_trips.smoothed or 0.0)

    def _queued(self) -> float:
        """How many of the blocks under way are in queues."""
        trips = self._round_trips
        return self._size * trips.queueing / max(trips.recent, 1e-6)

    def _allowance(self) -> float:
        """How many should be."""
        trips = self._round_trips
        seconds = min(_LONGEST_QUEUE, max(_SHORTEST_QUEUE, trips.minimum * _QUEUE_SHARE))
        return _QUEUE_BLOCKS + self._size * seconds / max(trips.recent, seconds)

    def _resize(self, size: float) -> None:
        self._size = max(1.0, min(self._largest, size))
