"""Keeps the source going: notices stalls, tells of them, and opens again what broke.

The capture process is ended and started anew whatever went wrong: a driver that never returns from
a read, a decoder that crashed on what came from the network, and an unplugged camera are all the
same from here. ``docs/decisions/0004-capture-process.md`` says why it is a process.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from agent.worker.camera.capture_link import CaptureLink, Trouble
from agent.worker.camera.capture_process import CaptureJob
from agent.worker.camera.frames import FrameStore
from agent.worker.camera.mailbox import Mailbox
from agent.worker.camera.source_address import SourceAddress
from agent.worker.settings import WorkerSettings

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 30.0
OPEN_SECONDS = 20.0


SourceState: TypeAlias = Literal["opening", "playing", "stalled", "failed"]


@dataclass
class SourceStatus:
    """What the source is doing."""

    address: str
    state: SourceState = "opening"
    detail: str | None = None
    skipped: int = 0
    """Ticks of the clock that gave no frame, where the source has no pace of its own."""
    recovered: int = 0
    """How often it gave pictures again after it had failed."""


class Capture:
    """Keeps a capture process running; its frames go to the mailbox."""

    def __init__(
        self,
        settings: WorkerSettings,
        store: FrameStore,
        mailbox: Mailbox,
        publish: Callable[[dict[str, Any]], None],
    ) -> None:
        """``publish`` gets the events ``source-failed`` and ``source-recovered``."""
        self._status = SourceStatus(str(SourceAddress.parse(settings.source)))
        self._job = CaptureJob(
            parent=os.getpid(),
            frames=store.writable,
            source=settings.source,
            frames_per_second=settings.frames_per_second,
            picture_order=settings.picture_order,
            seed=settings.seed,
            stall_seconds=settings.stall_seconds,
        )
        # A film that is played slowly is not stalled.
        self._stall_seconds = max(settings.stall_seconds, 3 / settings.frames_per_second)
        self._store = store
        self._mailbox = mailbox
        self._publish = publish
        self._numbers = itertools.count()
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._failed_at: float | None = None
        self._link: CaptureLink | None = None

    @property
    def status(self) -> SourceStatus:
        """What the source is doing now."""
        skipped = self._link.skipped if self._link else 0
        return replace(self._status, skipped=skipped)

    async def run(self) -> None:
        """Capture for ever; the process ends with the task."""
        while True:
            await self._play()
            await asyncio.sleep(self._retry_seconds)
            self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)

    async def _play(self) -> None:
        try:
            link = await CaptureLink.start(self._job, self._store, self._mailbox, self._numbers)
        except OSError as error:
            self._fail(Trouble("failed", f"no process can be started for the source: {error}"))
            return
        self._link = link
        try:
            while (trouble := await self._watch(link)) is None:
                pass
            # Before the process is gone: one that hangs within a driver may take its time.
            self._fail(trouble)
        finally:
            self._link = None
            await link.close()

    async def _watch(self, link: CaptureLink) -> Trouble | None:
        """Wait for trouble, at most until a picture could be overdue."""
        limit = self._stall_seconds if link.frames else OPEN_SECONDS
        left = limit - (time.monotonic() - link.heard_at)
        if left <= 0:
            doing = "has given no picture" if link.frames else "did not open"
            return Trouble("stalled", f"{self._status.address} {doing} for {limit:g} s")
        with suppress(TimeoutError):
            async with asyncio.timeout(left):
                await link.news.wait()
        link.news.clear()
        if link.frames:
            self._recover()
        return link.trouble

    def _fail(self, trouble: Trouble) -> None:
        if self._status.detail != trouble.detail:
            log.error("%s; will be tried again", trouble.detail)
        self._status.state, self._status.detail = trouble.state, trouble.detail
        if self._failed_at is None:
            self._failed_at = time.monotonic()
            self._tell("source-failed", state=trouble.state, detail=trouble.detail)

    def _recover(self) -> None:
        if self._status.state == "playing":
            return
        log.info("%s gives pictures", self._status.address)
        self._status.state, self._status.detail = "playing", None
        self._retry_seconds = FIRST_RETRY_SECONDS
        if self._failed_at is not None:
            seconds, self._failed_at = time.monotonic() - self._failed_at, None
            self._status.recovered += 1
            self._tell("source-recovered", seconds=round(seconds, 1))

    def _tell(self, event: str, **what: object) -> None:
        self._publish({"event": event, "source": self._status.address, **what})
