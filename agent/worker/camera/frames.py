"""Frames in memory shared between processes, and the mailbox that only ever holds the newest.

The capture process writes, engines map the same memory read-only; only a slot's number is sent.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from agent.worker.model.tensors import Picture

MAX_PIXELS = 3840 * 2160
SLOT_BYTES = MAX_PIXELS * 3
# Two being written, one waiting, two being classified, the last one (for a snapshot and for warming
# a candidate), one at the shadow, and room for what looks on and for superseded candidates. The
# lowest free one is taken, so those that are never needed cost nothing.
SLOTS = 14


@dataclass(frozen=True)
class Frame:
    """A numbered picture in a slot of the shared memory."""

    number: int
    slot: int
    height: int
    width: int
    captured_at: float
    """Seconds, monotonic."""
    name: str | None = None
    label: str | None = None


def frame_view(memory: memoryview | mmap.mmap, slot: int, height: int, width: int) -> Picture:
    """The picture in a slot: uint8 ``[height, width, 3]``, without a copy."""
    shape = (height, width, 3)
    return np.ndarray(shape, np.uint8, buffer=memory, offset=slot * SLOT_BYTES)


def put_picture(memory: mmap.mmap, slot: int, picture: Picture) -> tuple[int, int]:
    """Copy a picture into a slot, made smaller if it has more pixels than one holds.

    Returns the height and width it has there.
    """
    picture = _bounded(picture)
    height, width = picture.shape[:2]
    frame_view(memory, slot, height, width)[:] = picture
    return height, width


class FrameStore:
    """Slots for frames in anonymous shared memory; pages cost memory only once written."""

    def __init__(self) -> None:
        descriptor = os.memfd_create("edgeferry-frames", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, SLOTS * SLOT_BYTES)
        self._memory = mmap.mmap(descriptor, SLOTS * SLOT_BYTES)
        # Engines get a descriptor that can't be written through.
        self.read_only = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        self.writable = descriptor
        self._users = [0] * SLOTS
        self._lock = threading.Lock()

    def reserve(self) -> int | None:
        """A free slot, which belongs to the caller until :meth:`free`; None: all are in use."""
        with self._lock:
            slot = next((slot for slot, users in enumerate(self._users) if not users), None)
            if slot is not None:
                self._users[slot] = 1
            return slot

    def free(self, slot: int) -> None:
        """One user is done with the slot."""
        with self._lock:
            self._users[slot] -= 1

    def retain(self, frame: Frame) -> None:
        """Keep a frame's slot for one more user."""
        with self._lock:
            self._users[frame.slot] += 1

    def release(self, frame: Frame) -> None:
        """One user is done with the frame."""
        self.free(frame.slot)

    def view(self, frame: Frame) -> Picture:
        """The picture itself, as long as the frame's slot is kept."""
        return frame_view(self._memory, frame.slot, frame.height, frame.width)

    def copy(self, frame: Frame) -> Picture:
        """The picture, to keep."""
        return self.view(frame).copy()

    def close(self) -> None:
        """Start no more processes; the memory goes with the object."""
        os.close(self.read_only)
        os.close(self.writable)


def _bounded(picture: Picture) -> Picture:
    """The picture, made smaller if it has more pixels than a slot holds."""
    height, width = picture.shape[:2]
    if height * width <= MAX_PIXELS:
        return picture
    factor = (MAX_PIXELS / (height * width)) ** 0.5
    size = (max(1, int(width * factor)), max(1, int(height * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


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
