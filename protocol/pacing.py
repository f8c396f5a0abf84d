"""One request budget for everything a device sends.

Golioth: a device may send 20 requests per second, more are answered 4.29. The bucket stays a
little under the limit and holds a single request, so that they leave evenly spaced and no second
ever sees more, jitter on the way included. Blocks and messages wait in lanes of their own which
take turns, so that a download can't starve reports and reports can't starve a download. What can
wait has a third lane, which goes when nobody else wants to, and once in twenty turns all the same.

Beside the requests the bytes may be capped, answers included: a request for a block is charged
with what will come back.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from enum import Enum

GOLIOTH_LIMIT = 20.0
# RFC 8516 would have an answer without Max-Age mean 60 s; Golioth's limit is per second, and a
# minute's rest per mishap would cost a download far more than the halved rate already does.
DEFAULT_PAUSE = 2.0
MAX_PAUSE = 300.0

MESSAGE_BYTES = 256  # a message and its answer, roughly, DTLS included
_BACKGROUND_SHARE = 20  # one turn in so many, at the least
_HEADROOM = 0.995
# After a 4.29 the server's idea of a second seems to be stricter; a little less is tried for good.
_CAUTION, _LEAST_HEADROOM = 0.98, 0.9
_LOWEST_SHARE = 1 / 16
_RECOVERY_SECONDS = 30.0


_Waiter = tuple[asyncio.Future[None], int]


class Lane(Enum):
    """What a request is, as far as pacing is concerned."""

    BLOCKS = "blocks"
    MESSAGES = "messages"
    BACKGROUND = "background"


class TokenBucket:
    """The arithmetic of the budget, without a clock of its own: ``now`` is in monotonic seconds.

    ``limit`` is in requests per second, None means unlimited.
    """

    def __init__(self, limit: float | None, now: float) -> None:
        self._limit = limit
        self._tokens = 1.0
        self._refilled_at = now
        self._paused_until = now
        self._headroom = _HEADROOM
        self._share = 1.0  # of the full rate, at the end of the last pause

    def take(self, now: float) -> float:
        """Take one token and return 0.0, or take none and return the seconds to wait."""
        if now < self._paused_until:
            return self._paused_until - now
        if self._limit is None:
            return 0.0
        rate = self.rate(now)
        self._tokens = min(1.0, self._tokens + (now - self._refilled_at) * rate)
        self._refilled_at = now
        # The tolerance absorbs rounding, or a waiter could be asked to wait for 1e-17 s for ever.
        if self._tokens < 1 - 1e-9:
            return (1 - self._tokens) / rate
        self._tokens -= 1
        return 0.0

    def rate(self, now: float) -> float:
        """Tokens per second at this time: all of it, or less for a while after a 4.29."""
        if self._limit is None:
            return float("inf")
        return self._headroom * self._limit * self._current_share(now)

    def slow_down(self, now: float, retry_after: float | None) -> None:
        """Heed a 4.29: pause for its Max-Age (seconds) or a default, then go on at half the rate.

        Further 4.29s during the pause answer requests sent before it; they only prolong it.
        """
        if now >= self._paused_until:
            self._share = max(_LOWEST_SHARE, self._current_share(now) / 2)
            self._headroom = max(_LEAST_HEADROOM, self._headroom * _CAUTION)
        if self._limit is None:
            self._limit = GOLIOTH_LIMIT
        pause = DEFAULT_PAUSE if retry_after is None else min(retry_after, MAX_PAUSE)
        self._paused_until = max(self._paused_until, now + pause)
        self._refilled_at = self._paused_until
        self._tokens = 1.0

    def _current_share(self, now: float) -> float:
        return min(1.0, self._share + (now - self._paused_until) / _RECOVERY_SECONDS)


class ByteBudget:
    """The arithmetic of a cap in bytes per second; None means none."""

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._free_at = float("-inf")

    def change(self, now: float, limit: float | None) -> None:
        """Have another cap from now on; what was sent under the old one is forgiven."""
        self._limit = limit
        self._free_at = min(self._free_at, now)

    def wait(self, now: float) -> float:
        """Seconds until the next message may be sent."""
        return max(0.0, self._free_at - now)

    def spend(self, now: float, byte_count: int) -> None:
        """A message is sent that takes so many bytes of the link."""
        if self._limit is not None:
            self._free_at = max(self._free_at, now) + byte_count / self._limit


class Pacer:
    """Lets requests go one by one, as the budget allows.

    ``limit`` is in requests per second, ``byte_limit`` in bytes per second; None means no limit.
    """

    def __init__(
        self,
        limit: float | None,
        byte_limit: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._bucket = TokenBucket(limit, clock())
        self._bytes = ByteBudget(byte_limit)
        self._waiting: dict[Lane, deque[_Waiter]] = {lane: deque() for lane in Lane}
        self._served_last = Lane.MESSAGES
        self._before_background = 0
        """Turns of the other lanes since the last one in the background."""
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, lane: Lane, byte_count: int = MESSAGE_BYTES) -> None:
        """Return when the next request of this lane may be sent, ``byte_count`` with its answer."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[lane].append((future, byte_count))
        self._grant()
        await future

    def turn_at_once(self, lane: Lane, byte_count: int = MESSAGE_BYTES) -> bool:
        """Take a turn if one is to be had without waiting."""
        return self._next_lane() is None and self._take(lane, byte_count) == 0

    def slow_down(self, retry_after: float | None) -> None:
        """Heed a 4.29 with this Max-Age in seconds, None if it had none."""
        self._bucket.slow_down(self._clock(), retry_after)

    def limit_bytes(self, byte_limit: float | None) -> None:
        """Cap the bytes per second anew, for whoever waits already too."""
        self._bytes.change(self._clock(), byte_limit)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._grant()

    def _grant(self) -> None:
        while (lane := self._next_lane()) is not None:
            future, byte_count = self._waiting[lane][0]
            delay = self._take(lane, byte_count)
            if delay > 0:
                self._wake_in(delay)
                return
            self._waiting[lane].popleft()
            future.set_result(None)

    def _take(self, lane: Lane, byte_count: int) -> float:
        now = self._clock()
        delay = self._bytes.wait(now) or self._bucket.take(now)
        if delay == 0:
            self._bytes.spend(now, byte_count)
            self._served(lane)
        return delay

    def _served(self, lane: Lane) -> None:
        if lane is Lane.BACKGROUND:
            self._before_background = 0
        else:
            self._served_last = lane
            self._before_background += 1

    def _next_lane(self) -> Lane | None:
        for queue in self._waiting.values():
            while queue and queue[0][0].done():  # its waiter was cancelled
                queue.popleft()
        # The lane that was served last comes last; the background after it, unless it is its turn.
        turns = {self._served_last: 1, Lane.BACKGROUND: 2}
        if self._before_background >= _BACKGROUND_SHARE - 1:
            turns[Lane.BACKGROUND] = -1
        lanes = sorted(Lane, key=lambda lane: turns.get(lane, 0))
        return next((lane for lane in lanes if self._waiting[lane]), None)

    def _wake_in(self, delay: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(delay, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._grant()
