"""Waiting longer after each failure, with jitter, until something succeeds."""

from __future__ import annotations

import asyncio

from tenacity import RetryCallState, Retrying
from tenacity.wait import wait_random_exponential


class Backoff:
    """Full-jitter exponential waits (tenacity's) for loops that know themselves what success is.

    The n-th wait after a reset is drawn from 0…``initial``·2ⁿ⁻¹ seconds, at most ``maximum``: a
    fleet that lost its server at the same moment does not come back at the same moment.
    """

    def __init__(self, initial: float, maximum: float) -> None:
        self._wait = wait_random_exponential(multiplier=initial, max=maximum)
        self._state = RetryCallState(Retrying(), None, (), {})

    def reset(self) -> None:
        """Something worked: the next wait is a short one again."""
        self._state.attempt_number = 1

    def next_wait(self) -> float:
        """Seconds to wait now."""
        seconds = self._wait(self._state)
        self._state.attempt_number += 1
        return seconds

    async def pause(self) -> None:
        """Sleep for the next wait."""
        await asyncio.sleep(self.next_wait())
