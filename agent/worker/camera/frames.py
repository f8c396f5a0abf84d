"""Frames in memory shared between processes.

The capture process writes, engines map the same memory read-only; only a slot's number is sent.
The worker itself hardly ever looks at a picture, so whoever does has to pay for NumPy: see
:mod:`agent.worker.camera.pictures`.
"""

from __future__ import annotations

import mmap
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
        from agent.worker.camera.pictures import frame_view

        return frame_view(self._memory, frame.slot, frame.height, frame.width)

    def close(self) -> None:
        """Start no more processes; the memory goes with the object."""
        os.close(self.read_only)
        os.close(self.writable)
