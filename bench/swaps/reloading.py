"""The original's method as a process: a frame loop that loads the new model itself when signalled.

Camera, clock and mailbox are our worker's own, so that only the method differs: the newest frame is
taken, an older one that nobody took is dropped.
"""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from agent.worker.camera.capture import Capture
from agent.worker.camera.frames import Frame, FrameStore
from agent.worker.camera.mailbox import Mailbox
from agent.worker.model.runtime import find_runtime
from agent.worker.settings import WorkerSettings
from bench.support.child import Told, next_line, run_child, tell
from bench.support.original import OriginalClassifier


@dataclass(frozen=True)
class Order:
    """What the process is told. ``folder`` is a link to the release it should serve."""

    folder: str
    source: str
    frames_per_second: float
    runtime: str


class FrameLoop:
    """Takes frames, classifies them and, when signalled, loads the model in between."""

    def __init__(self, order: Order) -> None:
        self._folder = Path(order.folder)
        self._runtime = find_runtime(order.runtime)  # type: ignore[arg-type]  # as configured
        self._store = FrameStore()
        self._mailbox = Mailbox(self._store)
        self._arrived = asyncio.Event()
        self._mailbox.arrived = self._arrived.set
        settings = WorkerSettings(source=order.source, frames_per_second=order.frames_per_second)
        self._capture = Capture(settings, self._store, self._mailbox, publish=_nobody_listens)
        self._reload_wanted = False
        self._dropped = 0
        self._times: list[float] = []
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._on_signal)

    async def run(self) -> None:
        """Classify for ever."""
        classifier = self._load()
        reloaded = False
        while True:
            if self._reload_wanted:
                self._reload_wanted, reloaded = False, True
                classifier = self._load()
            frame = await self._next_frame()
            classifier.classify(self._store.view(frame).copy())
            self._store.release(frame)
            self._times.append(time.monotonic())
            if reloaded:
                reloaded = False
                tell("reloaded", at=self._times[-1])
            elif len(self._times) == 1:
                tell("ready")
            # A frame that waits already is taken without a pause: let signals and questions in.
            await asyncio.sleep(0)

    async def _next_frame(self) -> Frame:
        while (frame := self._mailbox.take()) is None:
            self._arrived.clear()
            await self._arrived.wait()
        return frame

    async def capture(self) -> None:
        """Take pictures for ever."""
        await self._capture.run()

    async def answer(self) -> None:
        """Tell the figures since the last time, whenever asked."""
        while True:
            await next_line()
            mail = self._mailbox.collect()
            times, self._times = self._times, self._times[-1:]
            gaps = [round((b - a) * 1e3, 3) for a, b in pairwise(times)]
            tell("figures", gaps=gaps, captured=mail.captured, dropped=mail.dropped)

    def _on_signal(self) -> None:
        self._reload_wanted = True

    def _load(self) -> OriginalClassifier:
        folder = self._folder
        return OriginalClassifier(self._runtime, folder / "ai-model.tflite", folder / "labels.txt")


def _nobody_listens(_event: dict[str, Any]) -> None:
    """The bench asks for figures, not for events."""


async def serve(told: Told) -> None:
    """Do what the order says."""
    loop = FrameLoop(Order(**told))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.capture())
        tasks.create_task(loop.run())
        tasks.create_task(loop.answer())


if __name__ == "__main__":
    run_child(serve)
