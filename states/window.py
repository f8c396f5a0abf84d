"""The commit window: does the new release do its work, and no worse than the one before it?

The worker counts since the switch, so that an agent that was restarted judges on. Only a restart of
the worker begins the window anew.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

from states.comparing import Check, Result, checks
from states.figures import WorkerFigures
from states.policy import WindowLimits
from states.ports import Evidence
from states.reasons import Rejection, Transient


class Verdict(StrEnum):
    """What the window says so far."""

    UNDECIDED = "undecided"
    CONFIRMED = "confirmed"
    FAILED = "failed"


@dataclass(frozen=True)
class Judgement:
    """A verdict, why it is one, and the comparisons it rests on."""

    verdict: Verdict
    why: str = ""
    checks: tuple[Check, ...] = ()
    reason: Rejection | Transient = Rejection.COMMIT_WINDOW_FAILED
    """Of a failed window."""


@dataclass(frozen=True)
class Window:
    """A commit window and what must be known of it after a restart of the agent.

    ``opened`` are the figures it began with; ``restarts`` counts those of the worker. ``apart``
    says why this release is judged on itself alone, if it is.
    """

    release_id: str
    attempt: int
    opened: WorkerFigures
    restarts: int = 0
    apart: str = ""
    looked_at: int = field(default=0, compare=False)
    """Frames at the last comparison; the next comes with twice as many, not with every tick."""

    def lost_by(self, now: WorkerFigures) -> bool:
        """Whether the worker was restarted since, so that its counters began anew."""
        if now.instance:
            return now.serving is None or now.instance != self.opened.instance
        return now.serving is None or now.classified < self.opened.classified

    def again(self, opened: WorkerFigures) -> Window:
        """The window after one more restart of the worker."""
        return replace(self, opened=opened, restarts=self.restarts + 1, looked_at=0)

    def judge(self, now: WorkerFigures, limits: WindowLimits, *, over: bool = False) -> Judgement:
        """Weigh the figures; ``over`` when there is no more time."""
        excuse = now.fell_back_for if self._left_by_worker(now) else None
        if excuse is Transient.ENGINE_SILENT and not over:
            return Judgement(Verdict.UNDECIDED)
        failure = self._failure(now, limits)
        if failure:
            reason = excuse or Rejection.COMMIT_WINDOW_FAILED
            found = self.compare(now, limits, complete=True)
            return Judgement(Verdict.FAILED, failure, found, reason)
        enough = limits.fewest_frames if over else limits.frames
        complete = now.classified >= enough and (over or not self._waits_for_shadow(now, limits))
        if not complete and now.classified < max(limits.least_frames, 2 * self.looked_at):
            return Judgement(Verdict.UNDECIDED)
        found = self.compare(now, limits, complete=complete)
        worse = "; ".join(check.why for check in found if check.result is Result.FAILED)
        if worse:
            return Judgement(Verdict.FAILED, worse, found)
        return Judgement(Verdict.CONFIRMED if complete else Verdict.UNDECIDED, "", found)

    def _waits_for_shadow(self, now: WorkerFigures, limits: WindowLimits) -> bool:
        """Whether the release before, which runs as time allows, has to see more frames first.

        Otherwise a busy machine would let a release pass without having been compared at all.
        """
        beside = now.comparison
        if self.apart or beside is None or beside.release != self.release_id:
            return False
        return beside.shadowing and beside.compared < limits.fewest_frames

    def _left_by_worker(self, now: WorkerFigures) -> bool:
        return now.fell_back_from == self.release_id != now.serving

    def _failure(self, now: WorkerFigures, limits: WindowLimits) -> str:
        """What no release may do, the only one or one of many."""
        if self.restarts > limits.restarts:
            return f"the worker was restarted {self.restarts} times during the commit window"
        if self._left_by_worker(now):
            return f"the worker went back to {now.serving} by itself: {now.fell_back_because}"
        if now.serving != self.release_id:
            return f"the worker serves {now.serving or 'nothing'} instead"
        if now.errors > limits.errors:
            return f"{now.errors} engine failures, {limits.errors} allowed"
        return ""

    def compare(
        self, now: WorkerFigures, limits: WindowLimits, *, complete: bool
    ) -> tuple[Check, ...]:
        """Every comparison with the release before, or one that says why there is none."""
        beside = now.comparison
        apart = self.apart
        if not apart and (beside is None or beside.release != self.release_id):
            apart = "there is no release before it to compare with"
        if apart or beside is None:
            return (Check("comparison", Result.SKIPPED, why=apart),)
        return tuple(checks(beside, limits, complete=complete))

    def at_deadline(self, now: WorkerFigures | None) -> tuple[Rejection | Transient, str]:
        """Why an undecided window ends: a camera without frames is not the model's fault."""
        if now is None:
            return Transient.WORKER_AWAY, "the worker did not answer during the commit window"
        if now.captured <= self.opened.captured:
            return Transient.NO_FRAMES, "the camera gave no frames during the commit window"
        return Rejection.COMMIT_WINDOW_FAILED, f"only {now.classified} frames classified in time"

    def document(
        self, judgement: Judgement, now: WorkerFigures | None, limits: WindowLimits
    ) -> dict[str, object]:
        """The window as evidence."""
        return {
            "release": self.release_id,
            "attempt": self.attempt,
            "restarts": self.restarts,
            "apart": self.apart,
            "verdict": str(judgement.verdict),
            "why": judgement.why,
            "checks": [asdict(check) for check in judgement.checks],
            "limits": asdict(limits),
            "opened": asdict(self.opened),
            "figures": None if now is None else asdict(now),
        }


def stored_window(evidence: Evidence | None, release_id: str, attempt: int) -> Window | None:
    """The window a killed agent had open, from its evidence; None when that is of another one."""
    if evidence is None or evidence["verdict"] != Verdict.UNDECIDED:
        return None
    if (evidence["release"], evidence["attempt"]) != (release_id, attempt):
        return None
    opened, restarts = evidence["opened"], evidence["restarts"]
    assert isinstance(opened, dict)
    assert isinstance(restarts, int)
    counters = WorkerFigures(**{**opened, "comparison": None})
    return Window(release_id, attempt, counters, restarts, str(evidence["apart"]))
