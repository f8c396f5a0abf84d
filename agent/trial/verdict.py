"""What the end of a trial's process means: a report, a fault of the model, or of this machine."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.trial.limits import TrialLimits
from agent.worker.sandbox.post_mortem import how_it_ended, last_words
from states.ports import Postponed, Rejected
from states.proof import ClassFindings, Findings, GoldenFindings
from states.reasons import Rejection, Transient


@dataclass(frozen=True)
class TrialReport:
    """What the trial found.

    ``latency_ms`` is the least time of a picture's way through the model, ``latency_budget_ms``
    what the release itself allows for it (0: anything), ``sandbox`` what the process had given up.
    """

    runtime: str
    input_shape: tuple[int, ...]
    input_type: str
    output_shape: tuple[int, ...]
    output_type: str
    labels: int
    latency_ms: float
    latency_budget_ms: float
    peak_memory_bytes: int
    sandbox: Mapping[str, str]
    golden: GoldenFindings | None = None

    @property
    def findings(self) -> Findings:
        """What is judged."""
        return Findings(self.latency_ms, self.latency_budget_ms, self.golden)


@dataclass
class TrialEnding:
    """What is known of the process: its answers, its last words, its exit status."""

    answers: bytearray = field(default_factory=bytearray)
    complaints: bytearray = field(default_factory=bytearray)
    status: int | None = None


def verdict(ending: TrialEnding, limits: TrialLimits) -> TrialReport:
    """What the trial found. Raises Rejected for the content, and Postponed for this machine."""
    stage = None
    for answer in _answers(ending.answers):
        stage = answer.get("stage", stage)
        if "report" in answer:
            return _report(answer["report"])
        if "rejected" in answer:
            raise Rejected(Rejection(answer["rejected"]["reason"]), answer["rejected"]["detail"])
        if "trouble" in answer:
            raise Postponed(Transient.STORAGE_ERROR, f"no trial was possible: {answer['trouble']}")
    if stage:
        detail = f"the trial process {_how(ending)} while {stage}"
        raise Rejected(Rejection.GOLDEN_SET_INVALID, detail)
    if stage is not None:
        raise _no_verdict(ending, limits)
    # A machine too busy to start it, or one that ran out of memory, says nothing of the model.
    starved = ending.status in {None, -signal.SIGKILL}
    raise Postponed(
        Transient.NO_RESOURCES if starved else Transient.INTERNAL_ERROR,
        f"the trial process {_how(ending)} before it opened the model: {_words(ending)}",
    )


def _answers(text: bytes | bytearray) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            answer = json.loads(line)
        except ValueError:
            continue  # cut off when the process ended; its exit status says why
        if isinstance(answer, dict):
            yield answer


def _report(answer: dict[str, Any]) -> TrialReport:
    shapes = {name: tuple(answer[name]) for name in ("input_shape", "output_shape")}
    return TrialReport(**{**answer, **shapes, "golden": _golden(answer["golden"])})


def _golden(answer: dict[str, Any] | None) -> GoldenFindings | None:
    if answer is None:
        return None
    classes = {label: ClassFindings(**found) for label, found in answer["classes"].items()}
    return GoldenFindings(answer["available"], classes, answer["answers"], answer["digest"])


def _no_verdict(ending: TrialEnding, limits: TrialLimits) -> Rejected:
    if ending.status is None:
        detail = f"it gave no answer within {limits.wall_seconds:g} s"
        return Rejected(Rejection.MODEL_HUNG, detail)
    if ending.status == -signal.SIGXCPU:
        detail = f"it used more than {limits.cpu_seconds} s of processor time"
        return Rejected(Rejection.MODEL_HUNG, detail)
    detail = f"the trial process {_how(ending)}: {_words(ending)}"
    return Rejected(Rejection.MODEL_CRASHED, detail)


def _how(ending: TrialEnding) -> str:
    return "gave no answer in time" if ending.status is None else how_it_ended(ending.status)


def _words(ending: TrialEnding) -> str:
    return last_words(ending.complaints) or "it said nothing"
