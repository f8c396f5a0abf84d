"""A loop in one process over the worker's own classifier: no camera, no other process, no socket.

Whatever the worker needs beyond this is its own cost.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import cv2

from agent.worker.camera.picture_sources import Drawn
from agent.worker.model.classifier import Classifier, ClassifierSettings
from agent.worker.model.labels import read_labels
from agent.worker.model.runtime import find_runtime
from bench.support.child import Told, next_line, run_child, tell

_TOP = 3
_PICTURES = 16


@dataclass(frozen=True)
class Order:
    """What the process is told; each line it gets makes it classify for so many seconds.

    ``frames_per_second`` 0 means as many as it can.
    """

    folder: str
    runtime: str
    seconds: float
    frames_per_second: float


class Bare:
    """A classifier and some pictures."""

    def __init__(self, order: Order) -> None:
        folder = Path(order.folder)
        model = (folder / "ai-model.tflite").read_bytes()
        self._classifier = Classifier(
            find_runtime(order.runtime),  # type: ignore[arg-type]  # as configured
            model,
            read_labels(folder / "labels.txt"),
            ClassifierSettings(),
        )
        self._classifier.warm_up()
        drawn = Drawn()
        self._pictures = [drawn.read().picture for _ in range(_PICTURES)]
        self._period = 1 / order.frames_per_second if order.frames_per_second else 0.0
        self._seconds = order.seconds

    def run(self) -> list[float]:
        """Classify; milliseconds for each picture."""
        times: list[float] = []
        due = time.monotonic()
        end = due + self._seconds
        while (began := time.monotonic()) < end:
            prediction = self._classifier.classify(self._pictures[len(times) % _PICTURES])
            prediction.best(self._classifier.labels, _TOP)
            times.append((time.monotonic() - began) * 1e3)
            due += self._period
            if self._period:
                time.sleep(max(0.0, due - time.monotonic()))
        return times


async def serve(told: Told) -> None:
    """Do what the order says."""
    cv2.setNumThreads(1)  # as in the worker's engines
    bare = Bare(Order(**told))
    tell("ready")
    while True:
        await next_line()
        times = await asyncio.to_thread(bare.run)
        tell("done", times=[round(milliseconds, 3) for milliseconds in times])


if __name__ == "__main__":
    run_child(serve)
