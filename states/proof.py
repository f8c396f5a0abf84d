"""Is a candidate good enough to serve? Decided from what trials measured; no I/O.

What the operator asked for in figures holds for every release. How a candidate compares with the
active release counts only for content that is new to this device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from states.ports import Rejected
from states.reasons import Rejection


@dataclass(frozen=True)
class ClassFindings:
    """Pictures of one label, and how many of them were answered with it."""

    right: int
    pictures: int


@dataclass(frozen=True)
class GoldenFindings:
    """What a model made of a golden set: per label of the pictures, and how often it answered what.

    ``available`` pictures are in the set; a sample of them is classified. ``digest`` identifies
    the content where nothing else does.
    """

    available: int
    classes: Mapping[str, ClassFindings]
    answers: Mapping[str, int]
    digest: str | None = None

    @property
    def pictures(self) -> int:
        """Pictures that were classified."""
        return sum(found.pictures for found in self.classes.values())

    @property
    def right(self) -> int:
        """Pictures that were answered rightly."""
        return sum(found.right for found in self.classes.values())

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0..1."""
        return self.right / self.pictures


@dataclass(frozen=True)
class Findings:
    """What a trial measured: milliseconds a picture takes, and the golden set if there is one.

    ``latency_budget_ms`` is what the release itself allows, 0 for anything.
    """

    latency_ms: float
    latency_budget_ms: float = 0.0
    golden: GoldenFindings | None = None


@dataclass(frozen=True)
class ProofLimits:
    """What a candidate must reach; 0 switches a limit off.

    Two measurements of one model differ, so a candidate is too slow beside the active one only
    when it is ``latency_slack_ms`` slower as well, and worse only by more than one picture.
    """

    latency_budget_ms: float = 0.0
    latency_ratio: float = 5.0
    latency_slack_ms: float = 20.0
    golden_minimum_accuracy: float = 0.5
    golden_margin: float = 0.05


def judge(candidate: Findings, active: Findings | None, limits: ProofLimits) -> Rejected | None:
    """What is wrong with a candidate, or None.

    ``active`` is what the same trial measured of the serving release; None when there is none, or
    when the candidate is judged on itself alone.
    """
    return (
        _over_budget(candidate, limits)
        or _below_minimum(candidate, limits)
        or (active and (_slower(candidate, active, limits) or _worse(candidate, active, limits)))
        or None
    )


def _over_budget(candidate: Findings, limits: ProofLimits) -> Rejected | None:
    for budget, whose in (
        (limits.latency_budget_ms, "update.latency_budget_ms allows"),
        (candidate.latency_budget_ms, "its model.json allows"),
    ):
        if budget and candidate.latency_ms > budget:
            return Rejected(
                Rejection.TOO_SLOW,
                f"a picture takes {candidate.latency_ms:.1f} ms on this device, {whose} {budget:g}",
            )
    return None


def _below_minimum(candidate: Findings, limits: ProofLimits) -> Rejected | None:
    golden = candidate.golden
    if golden is None or not golden.pictures:
        return None
    if len(golden.classes) > 1 and len(golden.answers) == 1:
        (answer,) = golden.answers
        return _failed(
            f"it answers '{answer}' to all {golden.pictures} pictures of "
            f"{len(golden.classes)} different labels"
        )
    if golden.accuracy < limits.golden_minimum_accuracy:
        return _failed(
            f"it is right on {_share(golden)}; update.golden_minimum_accuracy asks for "
            f"{limits.golden_minimum_accuracy:.0%}"
        )
    return None


def _slower(candidate: Findings, active: Findings, limits: ProofLimits) -> Rejected | None:
    if not limits.latency_ratio:
        return None
    most = max(
        active.latency_ms * limits.latency_ratio, active.latency_ms + limits.latency_slack_ms
    )
    if candidate.latency_ms <= most:
        return None
    return Rejected(
        Rejection.TOO_SLOW,
        f"a picture takes {candidate.latency_ms:.1f} ms, with the active release "
        f"{active.latency_ms:.1f} ms; up to {most:.1f} ms would do (update.latency_ratio)",
    )


def _worse(candidate: Findings, active: Findings, limits: ProofLimits) -> Rejected | None:
    ours, theirs = candidate.golden, active.golden
    if ours is None or theirs is None or not ours.pictures or not theirs.pictures:
        return None
    margin = max(limits.golden_margin, 1 / ours.pictures)
    # Sums of shares are not exact: a model that just keeps within the margin is within it.
    if ours.accuracy >= theirs.accuracy - margin - 1e-9:
        return None
    return _failed(
        f"it is right on {_share(ours)}, the active release on {_share(theirs)}; "
        f"it may be {margin:.1%} worse (update.golden_margin)"
    )


def _failed(detail: str) -> Rejected:
    return Rejected(Rejection.GOLDEN_SET_FAILED, f"golden set: {detail}")


def _share(golden: GoldenFindings) -> str:
    return f"{golden.right} of {golden.pictures} pictures ({golden.accuracy:.1%})"
