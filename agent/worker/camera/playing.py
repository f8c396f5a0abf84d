"""Plays a source into shared memory, within the capture process.

The worker sends numbers of slots that may be written to. It is told of each picture by
``{"frame": [slot, height, width, captured_at, name, label], "skipped": n}`` or, when there was no
slot for it, ``{"lost": n}``. Nothing here waits for a slot: a stream that is not read piles up, and
its pictures would be old for ever.
"""

from __future__ import annotations

import json
import mmap
import socket
import time
from contextlib import suppress
from typing import NoReturn

import cv2

from agent.worker.camera.capture_process import MESSAGE_BYTES, CaptureJob
from agent.worker.camera.frames import SLOT_BYTES, SLOTS
from agent.worker.camera.pictures import put_picture
from agent.worker.camera.source import Shot, Source
from agent.worker.camera.source_address import SourceAddress
from agent.worker.camera.sources import make_source
from agent.worker.errors import SourceError
from agent.worker.garbage import spare_what_stays

# A source that fell behind by more gives up the ticks it missed instead of rushing through them.
MOST_BEHIND_SECONDS = 0.5


def play(worker: socket.socket, job: CaptureJob) -> str:
    """Play for ever; returns what went wrong in the end, without secrets."""
    cv2.setNumThreads(1)
    source = make_source(
        SourceAddress.parse(job.source),
        frames_per_second=job.frames_per_second,
        order=job.picture_order,  # type: ignore[arg-type]  # checked by the settings
        seed=job.seed,
        stall_seconds=job.stall_seconds,
    )
    memory = mmap.mmap(job.frames, SLOTS * SLOT_BYTES)
    try:
        source.open()
        spare_what_stays()
        _play(source, Delivery(worker, memory), TickClock(1 / job.frames_per_second))
    except (SourceError, OSError, cv2.error) as error:
        return str(error)


def _play(source: Source, delivery: Delivery, clock: TickClock) -> NoReturn:
    clock.start(time.monotonic())
    while True:
        shot = source.read()
        delivery.deliver(shot, time.monotonic(), clock.skipped)
        if not source.paced:
            time.sleep(clock.next_pause(time.monotonic()))


class TickClock:
    """When a source without a pace of its own is due to be read. Times in seconds."""

    def __init__(self, period: float) -> None:
        self.skipped = 0
        """Ticks that gave no frame."""
        self._period = period
        self._due = 0.0

    def start(self, now: float) -> None:
        """The first picture is due now."""
        self._due = now

    def next_pause(self, now: float) -> float:
        """How long to wait until the next picture is due."""
        self._due += self._period
        behind = now - self._due
        if behind > MOST_BEHIND_SECONDS:
            missed = int(behind / self._period)
            self.skipped += missed
            self._due += missed * self._period
        return max(0.0, self._due - now)


class Delivery:
    """Writes pictures to slots the worker has granted, and tells the worker."""

    def __init__(self, worker: socket.socket, memory: mmap.mmap) -> None:
        self._worker = worker
        self._memory = memory
        self._granted: list[int] = []
        self._lost = 0

    def deliver(self, shot: Shot, captured_at: float, skipped: int) -> None:
        """Hand over a picture. Raises BrokenPipeError when the worker is gone."""
        self._collect_grants()
        if not self._granted:
            self._lost += 1
        if self._lost:
            self._tell_lost()
        if self._granted:
            slot = self._granted.pop(0)
            shape = put_picture(self._memory, slot, shot.picture)
            frame = [slot, *shape, captured_at, shot.name, shot.label]
            self._worker.send(json.dumps({"frame": frame, "skipped": skipped}).encode())

    def _collect_grants(self) -> None:
        with suppress(BlockingIOError):
            while message := self._worker.recv(MESSAGE_BYTES, socket.MSG_DONTWAIT):
                self._granted.append(int(message))
            raise BrokenPipeError("the worker closed the socket")

    def _tell_lost(self) -> None:
        message = json.dumps({"lost": self._lost}).encode()
        # A worker too busy to listen is told with a later picture.
        with suppress(BlockingIOError):
            self._worker.send(message, socket.MSG_DONTWAIT)
            self._lost = 0
