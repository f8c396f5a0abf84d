"""How a worker's life ends: by a signal, or because it is to start again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent.control.parameters import Parameters

ANSWER_SECONDS = 0.2
"""Between the answer to ``restart`` and the end, so that the answer gets out."""


class Ending:
    """Waits for the end. ``again`` tells whether the worker is to start again after it."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self.again = False

    async def wait(self) -> None:
        """Return when it is time."""
        await self._stop.wait()

    async def restart(self, _parameters: Parameters) -> dict[str, Any]:
        """End, and start again as a new process."""
        self.again = True
        asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._stop.set)
        return {"restarts": True}

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """End with SIGTERM and SIGINT too, and then for good."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self._end)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _end(self) -> None:
        self.again = False
        self._stop.set()
