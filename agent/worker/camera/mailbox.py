"""The mailbox between camera and engines, which only ever holds the newest frame."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from agent.worker.camera.frames import Frame, FrameStore


@dataclass(frozen=True)
class Mail:
    """``captured`` frames ever, ``waiting`` now (0 or 1), ``dropped`` since the last look."""

    captured: int
    waiting: int
    dropped: int


class Mailbox:
    """Holds the newest frame; an older one that nobody took is dropped. For one event loop."""

    def __init__(self, store: FrameStore) -> None:
        self.arrived: Callable[[], None] = _nobody_waits
        """Called soon after a frame has come when there was none."""
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._waiting: Frame | None = None
        self._dropped = 0
        self._captured = 0

    def put(self, frame: Frame) -> None:
        """The frame's slot becomes the taker's."""
        older, self._waiting = self._waiting, frame
        self._captured += 1
        if older:
            self._dropped += 1
            self._store.release(older)
        else:
            self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        self.arrived()

    def lose(self) -> None:
        """Count a frame there was no slot for."""
        self._captured += 1
        self._dropped += 1

    def take(self) -> Frame | None:
        """Take the frame that waits, if any; :meth:`FrameStore.release` it when done."""
        frame, self._waiting = self._waiting, None
        return frame

    def collect(self) -> Mail:
        """What happened, at one moment; drops are told once."""
        dropped, self._dropped = self._dropped, 0
        return Mail(self._captured, int(self._waiting is not None), dropped)


def _nobody_waits() -> None:
    """Frames are dropped until somebody does."""
