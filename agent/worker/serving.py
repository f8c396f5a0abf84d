"""Routes every frame to the engine of the active release and counts what becomes of it.

All of it runs on the event loop, so between two awaits nothing changes: a release takes over
between two frames because the active tenure is read anew for each.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agent.worker.counters import Result, ResultClock, Tally
from agent.worker.engine import Answer, Engine, ReleaseFiles
from agent.worker.errors import EngineFailed
from agent.worker.frames import Frame, FrameStore, Mail, Mailbox

log = logging.getLogger(__name__)

RESULTS_KEPT = 1000
TALLIES_KEPT = 16


@dataclass
class Tenure:
    """A release's time of serving, from its switch to the next one."""

    files: ReleaseFiles
    engine: Engine | None
    before: Tenure | None = None
    """The tenure to fall back to while this one has classified no frame yet."""
    proven: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    """Done once a frame was classified; holds the EngineFailed that came instead."""
    tally: Tally = field(default_factory=Tally)
    gap_ms: float | None = None
    """Between the last result before the switch and this release's first one."""
    failures: int = 0
    """In a row, by :mod:`agent.worker.recovery`'s reckoning."""
    classified_since_failure: int = 0

    @property
    def release(self) -> str:
        """Release id."""
        return self.files.release


class Serving:
    """The active release, the newest frame, and the counters."""

    def __init__(self, store: FrameStore, mailbox: Mailbox) -> None:
        self.active: Tenure | None = None
        self.total = Tally()
        self.results: deque[Result] = deque(maxlen=RESULTS_KEPT)
        self.engine_failed: Callable[[Tenure, Engine, EngineFailed], None] = _nobody_listens
        self._store = store
        self._mailbox = mailbox
        self._clock = ResultClock()
        self._tallies: OrderedDict[str, Tally] = OrderedDict()
        self._unserved = 0
        self._in_hand = 0
        self._last: Frame | None = None
        self._last_result: Result | None = None

    async def run(self) -> None:
        """Classify frames for ever."""
        while True:
            frame = await self._mailbox.take()
            self._in_hand = 1
            self._collect_dropped()
            await self._settle(frame)
            self._in_hand = 0
            self._remember(frame)

    def switch(self, tenure: Tenure | None) -> Tenure | None:
        """Make this tenure the active one from the next frame on; returns the one before."""
        self._collect_dropped()
        before, self.active = self.active, tenure
        if tenure is None:
            self._clock.pause()
        else:
            self._tallies[tenure.release] = tenure.tally
            self._tallies.move_to_end(tenure.release)
            while len(self._tallies) > TALLIES_KEPT:
                self._tallies.popitem(last=False)
        return before

    async def warm(self, engine: Engine) -> None:
        """Let an engine classify the last real frame, if there is one. Raises EngineFailed."""
        frame = self._last
        if frame is None:
            return
        self._store.retain(frame)
        try:
            await engine.classify(frame)
        finally:
            self._store.release(frame)

    async def _settle(self, frame: Frame) -> None:
        """Classify the frame, by another engine when the first fails, or count it as dropped."""
        while (tenure := self.active) and (engine := tenure.engine):
            try:
                answer = await engine.classify(frame)
            except EngineFailed as failure:
                self._failed(tenure, engine, failure)
            else:
                self._count(tenure, frame, answer)
                return
        self._last_result = None
        if tenure:
            tenure.tally.dropped += 1
            self.total.dropped += 1
        else:
            self._unserved += 1

    def _failed(self, tenure: Tenure, engine: Engine, failure: EngineFailed) -> None:
        if tenure is not self.active:
            return  # It was closed after the switch; the frame goes to its successor.
        tenure.engine = None
        for tally in (tenure.tally, self.total):
            tally.errors += 1
        if not tenure.proven.done():
            # It never answered a frame: whoever served before takes this one, so none is lost.
            tenure.proven.set_exception(failure)
            self.switch(tenure.before)
        self.engine_failed(tenure, engine, failure)

    def _count(self, tenure: Tenure, frame: Frame, answer: Answer) -> None:
        now = time.monotonic()
        gap = self._clock.tick(now)
        latency = (now - frame.captured_at) * 1e3
        result = Result(
            frame.number,
            tenure.release,
            answer.top,
            latency,
            answer.preprocess_ms,
            answer.inference_ms,
            gap,
            frame.name,
            frame.label,
        )
        for tally in (tenure.tally, self.total):
            tally.add(result)
        self.results.append(result)
        self._last_result = result
        tenure.classified_since_failure += 1
        if not tenure.proven.done():
            tenure.gap_ms = gap
            tenure.proven.set_result(None)

    def _collect_dropped(self) -> Mail:
        mail = self._mailbox.collect()
        if self.active is None:
            self._unserved += mail.dropped
        else:
            self.active.tally.dropped += mail.dropped
            self.total.dropped += mail.dropped
        return mail

    def _remember(self, frame: Frame) -> None:
        if self._last:
            self._store.release(self._last)
        self._last = frame

    def last_frame(self) -> tuple[Frame, Result | None] | None:
        """The last frame, and its result if it was classified. Copy its picture before awaiting."""
        return (self._last, self._last_result) if self._last else None

    def figures(self) -> dict[str, Any]:
        """All counters, taken at one moment: ``frames = captured + in_flight + unserved``."""
        mail = self._collect_dropped()
        return {
            **self.total.to_json(),
            "fps": round(self._clock.frames_per_second(time.monotonic()), 2),
            "frames": mail.captured,
            "in_flight": mail.waiting + self._in_hand,
            "unserved": self._unserved,
            "releases": {release: tally.to_json() for release, tally in self._tallies.items()},
        }


def _nobody_listens(tenure: Tenure, _engine: Engine, failure: EngineFailed) -> None:
    log.error("the engine of release %s failed: %s", tenure.release, failure)
