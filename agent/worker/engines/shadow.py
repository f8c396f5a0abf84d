"""The release before, kept warm through the commit window and compared with its successor.

It classifies the same live frames at low priority, as time allows, and never has more than one in
hand. When its successor's engine fails, it takes over between two frames.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from agent.wall_clock import utc_now
from agent.worker.camera.frames import Frame, FrameStore
from agent.worker.engines.counters import RECENT, Result, Tally
from agent.worker.engines.engine import Engine, Outcome
from agent.worker.engines.serving import Serving, Tenure
from agent.worker.engines.settings import EngineSettings, ReleaseFiles
from agent.worker.errors import EngineFailed

log = logging.getLogger(__name__)

USUAL_TIMES = 5
"""A watched engine may at any rate take that many times as long as it usually does."""


@dataclass
class Comparison:
    """What both releases showed on the same frames since the switch, for as long as both could."""

    candidate: Tenure
    previous: Tenure
    since: str = field(default_factory=utc_now)
    agreed: int = 0
    candidate_side: Tally = field(default_factory=Tally)
    previous_side: Tally = field(default_factory=Tally)
    why_not: str | None = None
    """Why the release before does not classify along (any more)."""
    _pairs: deque[tuple[Result, Result]] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def compared(self) -> int:
        """Frames that both releases classified."""
        return self.previous_side.classified

    def add(self, result: Result, of_previous: Result) -> None:
        """Count a frame that both classified."""
        self.candidate_side.add(result)
        self.previous_side.add(of_previous)
        self.agreed += _agree(result, of_previous)
        self._pairs.append((result, of_previous))

    def to_json(self) -> dict[str, Any]:
        """As the control socket shows it."""
        shadowing = self.why_not is None
        same_frames = shadowing or self.compared > 0
        return {
            "release": self.candidate.release,
            "previous": self.previous.release,
            "since": self.since,
            "compared": self.compared,
            "agreed": self.agreed,
            "same_frames": same_frames,
            "shadowing": shadowing,
            "why_not": self.why_not,
            **(self._same_frames() if same_frames else self._own_frames()),
        }

    def _same_frames(self) -> dict[str, Any]:
        errors = self.candidate.tally.errors
        return {
            "candidate": {**self.candidate_side.side(), "errors": errors},
            "previous_side": self.previous_side.side(),
            "later_half": self._later_half(),
        }

    def _later_half(self) -> dict[str, Any]:
        """The same of the later half of the frames, or of the last 512 when it is longer."""
        count = min(self.compared // 2, RECENT)
        pairs = list(islice(self._pairs, len(self._pairs) - count, None))
        mine, theirs = Tally(), Tally()
        for result, of_previous in pairs:
            mine.add(result)
            theirs.add(of_previous)
        return {
            "compared": count,
            "agreed": sum(_agree(*pair) for pair in pairs),
            "candidate": mine.side(),
            "previous_side": theirs.side(),
        }

    def _own_frames(self) -> dict[str, Any]:
        return {
            "candidate": self.candidate.tally.side(),
            "previous_side": self.previous.tally.recent_side(),
        }


class Shadow:
    """The one engine that classifies along, if any, and what became of the comparison."""

    def __init__(
        self,
        serving: Serving,
        store: FrameStore,
        settings: EngineSettings,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.comparison: Comparison | None = None
        self._store = store
        self._settings = settings
        self._tasks = tasks
        self._engine: Engine | None = None
        serving.on_result.append(self._follow)

    @property
    def files(self) -> ReleaseFiles | None:
        """The release that is kept warm, or None."""
        return self.comparison.previous.files if self.comparison and self._engine else None

    @property
    def engine(self) -> Engine | None:
        """Its engine."""
        return self._engine

    async def begin(self, candidate: Tenure, previous: Tenure, why_not: str | None = None) -> None:
        """Compare from now on. ``why_not`` tells why the release before can't classify along.

        Its engine, if it has one, is kept from here on. Returns when an earlier shadow is gone.
        """
        earlier = self._engine
        self.comparison = Comparison(candidate, previous, why_not=why_not)
        self._engine, previous.engine = previous.engine, None
        if self._engine:
            self._engine.be_patient(self._settings.frame_seconds)
            self._judge_sooner(candidate)
        elif why_not is None:
            self.comparison.why_not = f"release {previous.release} had no engine"
        if earlier:
            await earlier.close()

    def take(self, why: str) -> tuple[ReleaseFiles, Engine] | None:
        """Its engine, to serve with; the comparison ends with that."""
        files, engine = self.files, self._engine
        if files is None or engine is None or engine.failed:
            return None
        self._engine = None
        self._end(why)
        return files, engine

    async def make_way(self, why: str) -> None:
        """End the engine; returns when its memory is free. What was compared stays."""
        engine, self._engine = self._engine, None
        if engine:
            self._end(why)
            await engine.close()

    async def forget(self) -> None:
        """End the engine and the comparison."""
        await self.make_way("the comparison is over")
        self.comparison = None

    def _end(self, why: str) -> None:
        if self.comparison:
            self.comparison.why_not = why
            if candidate := self.comparison.candidate.engine:
                candidate.be_patient(self._settings.frame_seconds)

    def _judge_sooner(self, candidate: Tenure) -> None:
        """Somebody can take over at once, so silence need not be borne for long."""
        settings = self._settings
        if candidate.engine:
            usual = USUAL_TIMES * candidate.engine.busy_ms / 1e3
            seconds = max(settings.watched_frame_seconds, usual)
            if seconds < settings.frame_seconds:
                candidate.engine.be_watched(seconds)

    def _follow(self, frame: Frame, result: Result) -> None:
        comparison, engine = self.comparison, self._engine
        if comparison is None or engine is None or not engine.idle:
            return
        if result.release != comparison.candidate.release:
            return  # the last ones of the release before itself
        self._store.retain(frame)
        engine.submit(frame, partial(self._answered, engine, frame, result), quiet=True)

    def _answered(self, engine: Engine, frame: Frame, result: Result, outcome: Outcome) -> None:
        self._store.release(frame)
        if engine is not self._engine or self.comparison is None:
            return  # let go, or it serves itself now
        release = self.comparison.previous.release
        if isinstance(outcome, EngineFailed):
            log.warning("release %s classifies along no more: %s", release, outcome)
            self.comparison.previous_side.errors += 1
            self._engine = None
            self._end(f"the engine of release {release} failed: {outcome}")
            self._tasks.create_task(engine.close())
            return
        self.comparison.add(
            result, Result.of(frame, release, outcome, time.monotonic(), gap_ms=None)
        )


def _agree(result: Result, other: Result) -> bool:
    return result.top[0][0] == other.top[0][0]
