"""Sending one thing, and what to do with it when that fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from enum import Enum

from protocol.backoff import Backoff
from protocol.errors import LinkError, ProtocolError, TooManyRequests, may_pass
from protocol.trouble import Trouble

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
"""How long a server error or a 4.29 is waited out at first."""


class Fate(Enum):
    """What became of it."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """The server will never take it: it must not block what comes after it."""
    LATER = "later"
    """Try again; what had to be waited for is over."""


class Attempts:
    """Attempts at things of one ``subject``, named so in the log.

    ``longest_pause`` in seconds: after each failure in a row the next wait may be longer, up to it.
    """

    def __init__(self, subject: str, longest_pause: float) -> None:
        self._backoff = Backoff(PAUSE_SECONDS, longest_pause)
        self._trouble = Trouble(logger, f"sending {subject}")

    async def make(self, sending: Awaitable[None]) -> Fate:
        """Send, and wait out what a busy or failing server asks for."""
        try:
            await sending
        except LinkError:
            return Fate.LATER
        except TooManyRequests as busy:
            await asyncio.sleep(max(busy.retry_after or 0.0, self._backoff.next_wait()))
            return Fate.LATER
        except ProtocolError as refusal:
            self._trouble.failed(refusal)
            if not may_pass(refusal):
                return Fate.REFUSED
            await self._backoff.pause()
            return Fate.LATER
        self._backoff.reset()
        self._trouble.recovered()
        return Fate.ACCEPTED

    async def wait_out(self, trouble: Exception) -> None:
        """Something else is in the way: say so once, and pause."""
        self._trouble.failed(trouble)
        await asyncio.sleep(PAUSE_SECONDS)
