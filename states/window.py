"""The commit window: does the new release do its work, judged by the worker's exact counters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from states.policy import Policy
from states.ports import WorkerFigures
from states.reasons import Rejection, Transient


class Verdict(Enum):
    """What the window says so far."""

    UNDECIDED = "undecided"
    CONFIRMED = "confirmed"
    FAILED = "failed"


@dataclass(frozen=True)
class Window:
    """Evidence since the window was opened: the counters of the release at its start."""

    release_id: str
    opened: WorkerFigures

    def lost_by(self, now: WorkerFigures) -> bool:
        """Whether the worker was restarted since, so that its counters began anew."""
        return now.serving is None or now.captured < self.opened.captured

    def judge(self, now: WorkerFigures, policy: Policy) -> tuple[Verdict, str]:
        """Weigh the counters; the text says why a window failed."""
        if now.serving != self.release_id:
            return Verdict.FAILED, f"the worker serves {now.serving or 'nothing'} instead"
        errors = now.errors - self.opened.errors
        if errors > policy.window_errors:
            return Verdict.FAILED, f"{errors} engine failures, {policy.window_errors} allowed"
        if now.classified - self.opened.classified >= policy.window_frames:
            return Verdict.CONFIRMED, ""
        return Verdict.UNDECIDED, ""

    def at_deadline(self, now: WorkerFigures | None) -> tuple[Rejection | Transient, str]:
        """Why an undecided window ends: a camera without frames is not the model's fault."""
        if now is None:
            return Transient.WORKER_AWAY, "the worker did not answer during the commit window"
        seen = now.classified - self.opened.classified
        if now.captured == self.opened.captured:
            return Transient.NO_FRAMES, "the camera gave no frames during the commit window"
        return Rejection.COMMIT_WINDOW_FAILED, f"only {seen} frames classified in time"
