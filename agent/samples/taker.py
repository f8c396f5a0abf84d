"""Takes samples beside the worker: chosen as results come, written in a thread of their own."""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.samples.choice import Chooser, Why
from agent.samples.settings import SampleChoice, SampleSettings
from agent.samples.store import SampleStore
from agent.store.files import Files, free_bytes, storage_errors
from agent.wall_clock import utc_now
from agent.worker.camera.frames import Frame, FrameStore
from agent.worker.engines.counters import Result
from agent.worker.versions import ModelVersions
from states.ports import Postponed
from states.reasons import Transient, is_shortage

log = logging.getLogger(__name__)

# Frames that may wait for the disk; each keeps a slot of the frames' memory.
WAITING = 2
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class _Order:
    frame: Frame
    result: Result
    why: Why
    taken_at: str


class SampleTaker:
    """Keeps pictures while it is on, and none for as long as the disk is full."""

    def __init__(
        self,
        settings: SampleSettings,
        state_dir: Path,
        *,
        reserve_bytes: int,
        group: bool,
        source: str,
        frames: FrameStore,
        versions: ModelVersions,
    ) -> None:
        """``reserve_bytes`` of the disk are never used; ``source`` is named in each sample.

        With ``group`` the group of the samples' folder may read and delete them.
        """
        self.on = settings.on
        self._settings = settings
        self._reserve_bytes = reserve_bytes
        self._source = source
        self._frames = frames
        self._versions = versions
        self._store = SampleStore(state_dir, Files(), quota_bytes=settings.quota_bytes, group=group)
        self._choice = settings.choice
        self._chooser = Chooser(settings, random.SystemRandom().random)
        self._orders: queue.Queue[_Order | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)
        self._kept = 0
        # Two counters, since each is changed by one thread alone.
        self._too_many = 0
        self._failed = 0
        self._trouble: str | None = None

    def start(self) -> None:
        """Be ready to write."""
        self._thread.start()

    @property
    def choice(self) -> SampleChoice:
        """Which pictures are kept."""
        return self._choice.model_copy(update={"on": self.on})

    def choose_by(self, choice: SampleChoice) -> None:
        """Keep other pictures from now on, until the worker starts again."""
        self.on, self._choice = choice.on, choice
        self._chooser = Chooser(choice, random.SystemRandom().random)

    def stop(self) -> None:
        """Write what was chosen and end; a disk that hangs is waited for 5 s."""
        self.on = False
        with suppress(queue.Full):
            self._orders.put(None, timeout=STOP_SECONDS)
            self._thread.join(STOP_SECONDS)

    def on_result(self, frame: Frame, result: Result) -> None:
        """A result came; called on the worker's event loop, where nothing may wait."""
        if not self.on or not (why := self._chooser.choose(result.top[0][1], time.monotonic())):
            return
        self._frames.retain(frame)
        try:
            self._orders.put_nowait(_Order(frame, result, why, utc_now()))
        except queue.Full:
            self._frames.release(frame)
            self._too_many += 1

    def figures(self) -> dict[str, Any]:
        """As the control socket shows them, since the worker started."""
        return {
            "on": self.on,
            "kept": self._kept,
            "missed": self._too_many + self._failed,
            "trouble": self._trouble,
        }

    def _run(self) -> None:
        with self._trouble_told():
            self._store.clean()
        while order := self._orders.get():
            with self._trouble_told():
                self._keep(order)

    @contextmanager
    def _trouble_told(self) -> Iterator[None]:
        try:
            yield
        except Postponed as reason:
            self._fail(reason.detail)
        except Exception as defect:
            # Such as a picture for which there is no memory; the thread has to live on.
            if not is_shortage(defect):
                log.exception("a sample met an unforeseen error")
            self._fail(f"{type(defect).__name__}: {defect}")

    def _fail(self, detail: str) -> None:
        self._failed += 1
        if self._trouble is None:
            log.error("samples can't be kept for now: %s", detail)
        self._trouble = detail

    def _keep(self, order: _Order) -> None:
        from agent.worker.jpeg import encode_jpeg

        try:
            jpeg = encode_jpeg(self._frames.view(order.frame), self._settings.jpeg_quality)
        finally:
            self._frames.release(order.frame)
        self._check_disk(len(jpeg))
        at = order.taken_at[:19].replace("-", "").replace(":", "") + "Z"
        self._store.add(jpeg, self._describe(order), at)
        self._kept += 1
        if self._trouble is not None:
            self._trouble = None
            log.info("samples are kept again")

    def _check_disk(self, size: int) -> None:
        if size > self._settings.quota_bytes:
            raise Postponed(
                Transient.DISK_FULL, f"a picture takes {size} bytes; raise samples.quota_bytes"
            )
        folder = self._store.folder.parent
        with storage_errors(folder):
            left = free_bytes(folder) - size
        if left < self._reserve_bytes:
            raise Postponed(
                Transient.DISK_FULL,
                f"{folder}: only the {self._reserve_bytes} bytes of device.reserve_bytes are free",
            )

    def _describe(self, order: _Order) -> dict[str, Any]:
        frame, result = order.frame, order.result
        top = [{"label": label, "confidence": round(score, 6)} for label, score in result.top]
        return {
            "taken_at": order.taken_at,
            "why": str(order.why),
            "release": result.release,
            "version": self._versions.of(result.release),
            "source": self._source,
            "frame": frame.number,
            "name": frame.name,
            "known_label": frame.label,
            "top": top,
            "width": frame.width,
            "height": frame.height,
        }
