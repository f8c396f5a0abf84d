"""Whether an engine that answers nothing has hung, or only waits for a processor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.worker.engines.process import EngineProcess
from agent.worker.sandbox.starvation import LONGER_TIMES, LOOK_SECONDS


class Patience:
    """Measures how long an engine is silent while it is waited for.

    It may be for ``seconds``, and ten times as long while it wants for a processor: a busy machine
    is not the model's fault. After that ``hung`` is called with those seconds.
    """

    def __init__(
        self, process: EngineProcess, seconds: float, hung: Callable[[float], None]
    ) -> None:
        self._process = process
        self._seconds = seconds
        self._hung = hung
        self._loop = asyncio.get_running_loop()
        self._waits = False
        self._silent_since = 0.0
        self._used_before = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """It was asked something, or has said something and is waited for still."""
        self._waits = True
        self._silent_since = self._loop.time()
        self._used_before = self._process.processor_seconds()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def rest(self) -> None:
        """It is waited for no more."""
        self._waits = False

    def change(self, seconds: float) -> None:
        """Be more or less patient from now on."""
        self._seconds = seconds
        if self._timer:
            self._timer.cancel()
        self._look()

    def stop(self) -> None:
        """Look no more."""
        self._waits = False
        if self._timer:
            self._timer.cancel()

    def _look(self) -> None:
        """Runs now and then rather than being set anew for every frame."""
        self._timer = None
        if not self._waits:
            return
        left = self._silent_since + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        elif self._starved():
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
        else:
            self._hung(self._seconds)

    def _starved(self) -> bool:
        """Whether it is silent for want of a processor, and not for too long yet."""
        silent = self._loop.time() - self._silent_since
        starved = self._process.is_starved(self._seconds, self._used_before)
        return starved and silent < LONGER_TIMES * self._seconds
