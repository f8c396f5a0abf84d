"""The thread that owns the source: opens it, keeps the time, numbers frames, reopens what broke."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import dataclass
from typing import Literal

import cv2

from agent.worker.errors import SourceError
from agent.worker.frames import Frame, FrameStore, Mailbox
from agent.worker.sources import Shot, Source

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 30.0
# A source that fell behind by more gives up the ticks it missed instead of rushing through them.
MOST_BEHIND_SECONDS = 0.5


@dataclass
class SourceStatus:
    """What the source is doing. ``skipped`` counts ticks of the clock that gave no frame."""

    address: str
    state: Literal["opening", "playing", "failed"] = "opening"
    detail: str | None = None
    skipped: int = 0


class Capture:
    """Runs a source in a thread of its own and puts its frames into the mailbox."""

    def __init__(
        self,
        source: Source,
        address: str,
        frames_per_second: float,
        store: FrameStore,
        mailbox: Mailbox,
    ) -> None:
        self.status = SourceStatus(address)
        self._source = source
        self._period = 1 / frames_per_second
        self._store = store
        self._mailbox = mailbox
        self._stop = threading.Event()
        self._next_number = 0
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def ended(self) -> None:
        """Return when the thread ended; raises what ended it, if that was a defect."""
        await asyncio.shield(self._ended)

    def stop(self) -> None:
        """Stop it; returns when the thread is gone or, if a camera hangs in a read, after 2 s."""
        self._stop.set()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._open_and_play()
        except BaseException as error:  # noqa: BLE001 - handed to the event loop, which ends the worker
            self._loop.call_soon_threadsafe(self._ended.set_exception, error)

    def _open_and_play(self) -> None:
        try:
            self._source.open()
            self._play()
        except (SourceError, OSError, cv2.error) as error:
            self._failed(str(error))
            self._stop.wait(self._retry_seconds)
            self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)
        finally:
            self._source.close()

    def _failed(self, detail: str) -> None:
        if self.status.detail != detail:
            log.error("%s; will be tried again", detail)
        self.status.state, self.status.detail = "failed", detail

    def _play(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            shot = self._source.read()
            if self.status.state != "playing":
                log.info("%s gives pictures", self.status.address)
                self.status.state, self.status.detail = "playing", None
                self._retry_seconds = FIRST_RETRY_SECONDS
            self._hand_over(shot)
            if not self._source.paced:
                due = self._wait_for_tick(due + self._period)

    def _hand_over(self, shot: Shot) -> None:
        number = self._next_number
        self._next_number += 1
        written = self._store.write(shot.picture)
        if written is None:
            self._mailbox.lose()
            return
        slot, height, width = written
        captured_at = time.monotonic()
        self._mailbox.put(Frame(number, slot, height, width, captured_at, shot.name, shot.label))

    def _wait_for_tick(self, due: float) -> float:
        behind = time.monotonic() - due
        if behind > MOST_BEHIND_SECONDS:
            missed = int(behind / self._period)
            self.status.skipped += missed
            due += missed * self._period
        self._stop.wait(max(0.0, due - time.monotonic()))
        return due
