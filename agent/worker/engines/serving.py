"""Routes every frame to the engine of the active release and counts what becomes of it.

All of it runs in callbacks on the event loop, so nothing changes while one of them runs: a release
takes over between two frames because the active tenure is read anew for each.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from agent.worker.camera.frames import Frame, FrameStore
from agent.worker.camera.mailbox import Mail, Mailbox
from agent.worker.engines.counters import Result, ResultClock, Tally
from agent.worker.engines.engine import Answer, Engine, Outcome
from agent.worker.engines.settings import ReleaseFiles
from agent.worker.errors import EngineFailed

log = logging.getLogger(__name__)

RESULTS_KEPT = 1000
TALLIES_KEPT = 16
# The engine gets its next frame so long before it should be done with the one in hand: it need not
# wait for the way there and back, nor does the frame grow old there while a newer one comes. The
# event loop's clock wakes up to a millisecond late, and a processor may have to be waited for: once
# then, and once before, to learn from the last answer that the engine began.
HAND_OVER_AHEAD_SECONDS = 0.0035


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
    drained: bool = False
    """Whether the release before had to go first, for want of memory."""
    gap_ms: float | None = None
    """Between the last result before the switch and this release's first one."""
    failure: tuple[str, str] = ("", "")
    """Reason and detail of the last one."""
    failures: int = 0
    """In a row, by :mod:`agent.worker.engines.recovery`'s reckoning."""
    classified_since_failure: int = 0

    @property
    def release(self) -> str:
        """Release id."""
        return self.files.release

    @property
    def rounded_gap_ms(self) -> float | None:
        """The gap as it is told."""
        return None if self.gap_ms is None else round(self.gap_ms, 2)


@dataclass(frozen=True)
class _InHand:
    """A frame that an engine was given and has not answered."""

    frame: Frame
    tenure: Tenure
    engine: Engine


class Serving:
    """The active release, the newest frame, and the counters."""

    def __init__(self, store: FrameStore, mailbox: Mailbox) -> None:
        self.active: Tenure | None = None
        self.total = Tally()
        self.results: deque[Result] = deque(maxlen=RESULTS_KEPT)
        self.on_result: list[Callable[[Frame, Result], None]] = []
        """Called with each result as it comes. The frame's slot may be retained for longer."""
        self.engine_failed: Callable[[Tenure, Engine, EngineFailed], None] = _nobody_listens
        self.stand_in: Callable[[Tenure], Tenure | None] = _nobody_stands_in
        """Asked who takes over at once, frames in hand included, when a proven engine failed."""
        self._store = store
        self._mailbox = mailbox
        self._clock = ResultClock()
        self._tallies: OrderedDict[int, tuple[str, Tally]] = OrderedDict()
        """Release and tally by the tally's serial number; the newest to serve is the last."""
        self._unserved = 0
        self._in_hand: deque[_InHand] = deque()
        self._returned: deque[Frame] = deque()
        """Frames that a failed engine did not answer, in order."""
        self._last: Frame | None = None
        self._last_result: Result | None = None
        self._loop = asyncio.get_running_loop()
        self._began = 0.0
        """When the engine began with the first frame it has in hand, by the loop's clock."""
        self._next_look: asyncio.TimerHandle | None = None
        self._broken: asyncio.Future[None] = self._loop.create_future()
        mailbox.arrived = self._frame_arrived

    async def run(self) -> None:
        """Serve for ever; raises what ended it, if that was a defect."""
        await self._broken

    def switch(self, tenure: Tenure | None) -> Tenure | None:
        """Make this tenure the active one from the next frame on; returns the one before.

        Frames that the engine before has in hand are still its own.
        """
        self._collect_dropped()
        before, self.active = self.active, tenure
        if tenure is None:
            self._clock.pause()
        else:
            self._tallies[tenure.tally.serial] = tenure.release, tenure.tally
            self._tallies.move_to_end(tenure.tally.serial)
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

    def _frame_arrived(self) -> None:
        with self._ended_by_defects():
            self._collect_dropped()
            self._hand_over()

    @contextmanager
    def _ended_by_defects(self) -> Iterator[None]:
        """What is raised in a callback would otherwise only be logged, and a frame be lost."""
        try:
            yield
        except Exception as error:
            if self._broken.done():
                raise
            self._broken.set_exception(error)

    def _hand_over(self) -> None:
        while self._may_take():
            frame = self._returned.popleft() if self._returned else self._mailbox.take()
            if frame is None:
                return
            tenure = self.active
            if tenure and tenure.engine:
                hand = _InHand(frame, tenure, tenure.engine)
                if not self._in_hand:
                    self._began = self._loop.time()
                self._in_hand.append(hand)
                tenure.engine.submit(frame, partial(self._answered, hand))
            else:
                self._drop(tenure, frame)

    def _may_take(self) -> bool:
        """Whether the next frame can be given to the active engine, or must be dropped."""
        if not self._in_hand:
            return True
        engine = self.active.engine if self.active else None
        # Results come in the order of the frames: the engine before answers first.
        if engine is None or self._in_hand[0].engine is not engine or len(self._in_hand) > 1:
            return False
        due = self._began + engine.busy_ms / 1e3 - HAND_OVER_AHEAD_SECONDS
        if self._loop.time() >= due:
            return True
        if self._next_look is None:
            self._next_look = self._loop.call_at(due, self._look_again)
        return False

    def _look_again(self) -> None:
        self._next_look = None
        self._frame_arrived()

    def _answered(self, hand: _InHand, outcome: Outcome) -> None:
        with self._ended_by_defects():
            self._in_hand.popleft()
            self._began = self._loop.time()
            if isinstance(outcome, EngineFailed):
                self._returned.append(hand.frame)
                if hand.tenure is self.active and hand.tenure.engine is hand.engine:
                    self._failed(hand.tenure, hand.engine, outcome)
            else:
                self._count(hand.tenure, hand.frame, outcome)
            self._hand_over()

    def _drop(self, tenure: Tenure | None, frame: Frame) -> None:
        if tenure:
            tenure.tally.dropped += 1
            self.total.dropped += 1
        else:
            self._unserved += 1
        self._remember(frame, None)

    def _failed(self, tenure: Tenure, engine: Engine, failure: EngineFailed) -> None:
        tenure.engine = None
        for tally in (tenure.tally, self.total):
            tally.errors += 1
        if not tenure.proven.done():
            # It never answered a frame: whoever served before takes this one, so none is lost.
            tenure.proven.set_exception(failure)
            self.switch(tenure.before)
        elif stand_in := self.stand_in(tenure):
            self.switch(stand_in)
        self.engine_failed(tenure, engine, failure)

    def _count(self, tenure: Tenure, frame: Frame, answer: Answer) -> None:
        now = time.monotonic()
        gap = self._clock.tick(now)
        result = Result.of(frame, tenure.release, answer, now, gap)
        for tally in (tenure.tally, self.total):
            tally.add(result)
        self.results.append(result)
        tenure.classified_since_failure += 1
        if not tenure.proven.done():
            tenure.gap_ms = gap
            tenure.proven.set_result(None)
        for listener in self.on_result:
            listener(frame, result)
        self._remember(frame, result)

    def _collect_dropped(self) -> Mail:
        mail = self._mailbox.collect()
        if self.active is None:
            self._unserved += mail.dropped
        else:
            self.active.tally.dropped += mail.dropped
            self.total.dropped += mail.dropped
        return mail

    def _remember(self, frame: Frame, result: Result | None) -> None:
        if self._last:
            self._store.release(self._last)
        self._last, self._last_result = frame, result

    def last_frame(self) -> tuple[Frame, Result | None] | None:
        """The last frame, and its result if it was classified. To be retained before awaiting."""
        return (self._last, self._last_result) if self._last else None

    def figures(self) -> dict[str, Any]:
        """All counters, taken at one moment: ``frames = captured + in_flight + unserved``."""
        mail = self._collect_dropped()
        return {
            **self.total.to_json(),
            "fps": round(self._clock.frames_per_second(time.monotonic()), 2),
            "frames": mail.captured,
            "in_flight": mail.waiting + len(self._in_hand) + len(self._returned),
            "unserved": self._unserved,
            # Of a release that served more than once the newest tally counts.
            "releases": {r: tally.to_json() for r, tally in dict(self._tallies.values()).items()},
        }

    def tallies(self) -> list[dict[str, Any]]:
        """Every tenure's sums, also of those before in which the same release served."""
        self._collect_dropped()
        return [{"release": release, **tally.sums()} for release, tally in self._tallies.values()]


def _nobody_listens(tenure: Tenure, _engine: Engine, failure: EngineFailed) -> None:
    log.error("the engine of release %s failed: %s", tenure.release, failure)


def _nobody_stands_in(_tenure: Tenure) -> Tenure | None:
    return None
