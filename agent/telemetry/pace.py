"""How often something is done, changeable while it runs."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Pace:
    """An interval in seconds; 0 means not at all."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = asyncio.Event()

    @property
    def seconds(self) -> float:
        """The interval."""
        return self._seconds

    def change(self, seconds: float) -> None:
        """Another interval from now on; a wait under way ends."""
        if seconds != self._seconds:
            self._seconds = seconds
            self._changed.set()

    async def wait(self) -> None:
        """Return after one interval, or as soon as it is (or was, since the last wait) another."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds or None):
                await self._changed.wait()
        self._changed.clear()
