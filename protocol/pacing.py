"""One request budget for everything a device sends.

Golioth: a device may send 20 requests per second, more are answered 4.29. The bucket stays a
little under the limit, so that no second ever sees more: it holds a tenth of it as burst and
refills with the rest. Blocks and messages wait in lanes of their own which take turns, so that a
download can't starve telemetry and telemetry can't starve a download.
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

_BURST_SHARE = 0.1
_LOWEST_SHARE = 1 / 16
_RECOVERY_SECONDS = 30.0


class Lane(Enum):
    """What a request is, as far as pacing is concerned."""

    BLOCKS = "blocks"
    MESSAGES = "messages"


class TokenBucket:
    """The arithmetic of the budget, without a clock of its own: ``now`` is in monotonic seconds.

    ``limit`` is in requests per second, None means unlimited.
    """

    def __init__(self, limit: float | None, now: float) -> None:
        self._limit = limit
        self._tokens = self._burst
        self._refilled_at = now
        self._paused_until = now
        self._share = 1.0  # of the full rate, at the end of the last pause

    def take(self, now: float) -> float:
        """Take one token and return 0.0, or take none and return the seconds to wait."""
        if now < self._paused_until:
            return self._paused_until - now
        if self._limit is None:
            return 0.0
        rate = self.rate(now)
        self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) * rate)
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
        full = max(self._limit - self._burst, self._limit / 2)
        return full * min(1.0, self._share + (now - self._paused_until) / _RECOVERY_SECONDS)

    def slow_down(self, now: float, retry_after: float | None) -> None:
        """Heed a 4.29: pause for its Max-Age (seconds) or a default, then go on at half the rate.

        Further 4.29s during the pause answer requests sent before it; they only prolong it.
        """
        if now >= self._paused_until:
            self._share = max(_LOWEST_SHARE, min(1.0, self._current_share(now)) / 2)
        if self._limit is None:
            self._limit = GOLIOTH_LIMIT
        pause = DEFAULT_PAUSE if retry_after is None else min(retry_after, MAX_PAUSE)
        self._paused_until = max(self._paused_until, now + pause)
        self._refilled_at = self._paused_until
        self._tokens = 1.0

    def _current_share(self, now: float) -> float:
        return self._share + (now - self._paused_until) / _RECOVERY_SECONDS

    @property
    def _burst(self) -> float:
        return max(1.0, (self._limit or 0.0) * _BURST_SHARE)


class Pacer:
    """Lets requests go one by one, as the budget allows."""

    def __init__(self, limit: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bucket = TokenBucket(limit, clock())
        self._waiting: dict[Lane, deque[asyncio.Future[None]]] = {lane: deque() for lane in Lane}
        self._served_last = Lane.MESSAGES
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, lane: Lane) -> None:
        """Return when the next request of this lane may be sent."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[lane].append(future)
        self._grant()
        await future

    def slow_down(self, retry_after: float | None) -> None:
        """Heed a 4.29 with this Max-Age in seconds, None if it had none."""
        self._bucket.slow_down(self._clock(), retry_after)

    def _grant(self) -> None:
        while (lane := self._next_lane()) is not None:
            delay = self._bucket.take(self._clock())
            if delay > 0:
                self._wake_in(delay)
                return
            self._served_last = lane
            self._waiting[lane].popleft().set_result(None)

    def _next_lane(self) -> Lane | None:
        for queue in self._waiting.values():
            while queue and queue[0].done():  # its waiter was cancelled
                queue.popleft()
        # The lane that was served last comes last.
        lanes = sorted(Lane, key=lambda lane: lane is self._served_last)
        return next((lane for lane in lanes if self._waiting[lane]), None)

    def _wake_in(self, delay: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(delay, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._grant()
