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
# The queue aimed at: so many blocks, or so much time where blocks are quick.
_QUEUE_BLOCKS = 3.0
_QUEUE_SHARE = 1 / 8  # of the empty link's round trip
_SHORTEST_QUEUE, _LONGEST_QUEUE = 0.005, 0.025  # seconds
_GAIN = 0.5
_SLOWEST_START = 0.25
# The first answers come back as far apart as the link's narrowest place spreads them.
_TRAIN = INITIAL_WINDOW - 2
_TRAIN_SHARE, _TRAIN_WINDOW = 0.5, 64.0
_DECREASE = 0.7
# A queue that stays empty for so many round trips tells of room for much more.
_EMPTY_ROUNDS, _EMPTY_ROUNDS_AFTER_LOSS = 3, 13
# Now and then the queue is let run empty, to see the link's shortest round trip again.
_DRAIN_SECONDS, _DRAIN_ROUNDS = 10.0, 100  # whichever is longer
_DRAIN = 0.25
# Of the blocks of a round: with and without a queue.
_LOSS_WITH_QUEUE, _LOSS_ALONE = 0.02, 0.25
_FEWEST_LOST = 6


class Congestion:
    """The window of one download, in blocks, between 1 and ``largest``.

    Tell it of every answer and every loss; ``round_trips`` is kept up to date by the caller, before
    the answer is told here.
    """

    def __init__(self, round_trips: RoundTrips, largest: int) -> None:
        self._round_trips = round_trips
        self._largest = float(largest)
        self._size = min(float(INITIAL_WINDOW), self._largest)
        self._slow_start_up_to = self._ceiling = self._largest
        self._slow_start = True
        self._round_ends = 0.0
        self._drained_at = 0.0
        self._after_drain: float | None = None
        self._draining = self._may_have_a_queue = False
        self._empty_rounds = 0
        self._train: list[float] = []
        self._answered = self._lost = 0

    @property
    def window(self) -> int:
        """Blocks that may be under way."""
        return int(self._size)

    def answered(self, now: float, rate: float, *, window_full: bool) -> None:
        """An answer came, at a ``rate`` of so many per second.

        The window may grow only if it was what held requests back.
        """
        self._answered += 1
        self._may_have_a_queue |= window_full and not self._slow_start
        self._watch_train(now)
        if now >= self._round_ends:
            self._end_round(now)
        if self._after_drain is not None:
            self._refill(self._after_drain)
            return
        excess = self._queued() - self._allowance()
        if self._slow_start:
            self._start_slowly(now, rate, excess, window_full=window_full)
        elif window_full or excess > 0:
            self._resize(self._size + _GAIN * max(-self._size, -excess) / self._size)

    def lost(self) -> None:
        """A request or its answer was lost."""
        self._lost += 1

    def silent(self) -> None:
        """Nothing at all came for a whole timeout: begin anew, carefully."""
        if self._size > _SMALLEST_WINDOW:
            self._slow_start_up_to = max(_SMALLEST_WINDOW * 2.0, self._size / 2)
        self._slow_start, self._draining, self._after_drain = True, False, None
        self._answered = self._lost = 0
        self._resize(1.0)

    def refused(self) -> None:
        """The server can't do so many at a time."""
        self._slow_start = False
        self._resize(self._size / 2)

    def _watch_train(self, now: float) -> None:
        """Begin with half of what the spread of the first answers promises."""
        if len(self._train) >= _TRAIN:
            return
        self._train.append(now)
        if len(self._train) == _TRAIN and self._slow_start and not self._lost:
            spread = max(1e-6, now - self._train[0])
            promised = _TRAIN_SHARE * self._round_trips.minimum * (_TRAIN - 1) / spread
            self._resize(max(self._size, min(_TRAIN_WINDOW, promised)))

    def _start_slowly(self, now: float, rate: float, excess: float, *, window_full: bool) -> None:
        """Double with every round trip until a queue stays.

        What left in one burst comes back over a time that tells how much the link holds: from a
        fifth of the round trip on the steps become smaller, so as not to shoot far beyond.
        """
        if excess > 0:
            self._slow_start = False
            empty = rate * self._round_trips.minimum
            self._drain(now, min(self._size, empty + self._allowance()))
        elif window_full:
            trips = self._round_trips
            burst = trips.latest / trips.minimum - 1
            self._resize(self._size + max(_SLOWEST_START, min(1.0, 1.4 - 2 * burst)))
            self._slow_start = self._size < self._slow_start_up_to

    def _end_round(self, now: float) -> None:
        share = self._lost / (self._answered + self._lost)
        queued = self._queued() > self._allowance() / 2
        too_many = share > _LOSS_ALONE and self._lost >= _FEWEST_LOST
        if self._draining:
            self._draining, self._empty_rounds = False, min(0, self._empty_rounds)
        elif too_many or (queued and share > _LOSS_WITH_QUEUE):
            self._slow_start = False
            self._empty_rounds = _EMPTY_ROUNDS - _EMPTY_ROUNDS_AFTER_LOSS
            self._ceiling = self._size * _DECREASE
            self._resize(self._size * _DECREASE)
        elif self._may_have_a_queue and now >= self._drained_at + self._drain_interval:
            self._drain(now, self._size)
        else:
            self._look_for_room()
        self._answered = self._lost = 0
        self._may_have_a_queue = False
        self._round_ends = now + (self._round_trips.smoothed or 0.0)

    @property
    def _drain_interval(self) -> float:
        return max(_DRAIN_SECONDS, _DRAIN_ROUNDS * (self._round_trips.smoothed or 0.0))

    def _look_for_room(self) -> None:
        """Back to slow start where the first one ended too early, or others have left."""
        empty = self._queued() < self._allowance() / 4
        self._empty_rounds = self._empty_rounds + 1 if empty else min(0, self._empty_rounds)
        if self._empty_rounds >= _EMPTY_ROUNDS:
            self._slow_start = self._size < self._ceiling
            self._slow_start_up_to = self._ceiling
            self._ceiling = min(self._largest, self._ceiling * 1.25)
            self._empty_rounds = 0

    def _drain(self, now: float, afterwards: float) -> None:
        """Let the queue run empty for a round trip."""
        self._drained_at, self._after_drain, self._draining = now, afterwards, True
        self._round_ends = now + self._round_trips.latest
        self._resize(max(_SMALLEST_WINDOW, afterwards * _DRAIN))

    def _refill(self, afterwards: float) -> None:
        """Come back from a drain, in one round trip: a burst would overflow a short buffer."""
        if not self._draining:
            self._resize(min(afterwards, self._size + 1))
            if self._size >= min(afterwards, self._largest):
                self._after_drain = None

    def _queued(self) -> float:
        """How many of the blocks under way are in queues."""
        trips = self._round_trips
        return self._size * trips.queueing / max(trips.recent, 1e-6)

    def _allowance(self) -> float:
        """How many should be."""
        trips = self._round_trips
        seconds = min(_LONGEST_QUEUE, max(_SHORTEST_QUEUE, trips.minimum * _QUEUE_SHARE))
        return max(_QUEUE_BLOCKS, self._size * seconds / max(trips.recent, seconds))

    def _resize(self, size: float) -> None:
        self._size = max(1.0, min(self._largest, size))
