"""The decision about a candidate, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from states.proof import ClassFindings, Findings, GoldenFindings, ProofLimits, judge
from states.reasons import Rejection

LIMITS = ProofLimits()


def golden(right: int, of: int = 40, answers: int = 2) -> GoldenFindings:
    """``of`` pictures of two labels, half each."""
    half = of // 2
    first = min(right, half)
    classes = {"a": ClassFindings(first, half), "b": ClassFindings(right - first, of - half)}
    return GoldenFindings(of, classes, dict.fromkeys("abc"[:answers], 1))


def found(ms: float = 10, right: int | None = None, budget: float = 0, **more: int) -> Findings:
    return Findings(ms, budget, None if right is None else golden(right, **more))


TABLE = [
    ("first release ever", found(10_000), None, LIMITS, None),
    ("as good as the active one", found(10, 37), found(10, 37), LIMITS, None),
    ("within the device's budget", found(50), None, ProofLimits(latency_budget_ms=50), None),
    ("over it", found(50.1), None, ProofLimits(latency_budget_ms=50), Rejection.TOO_SLOW),
    ("within its own budget", found(50, budget=50), None, LIMITS, None),
    ("over its own budget", found(51, budget=50), None, LIMITS, Rejection.TOO_SLOW),
    ("five times as slow", found(50), found(10), LIMITS, None),
    ("slower than that", found(51), found(10), LIMITS, Rejection.TOO_SLOW),
    ("tiny and noisy", found(19), found(0.1), LIMITS, None),
    ("tiny no more", found(21), found(0.1), LIMITS, Rejection.TOO_SLOW),
    ("no ratio asked for", found(900), found(1), ProofLimits(latency_ratio=0), None),
    ("half of the pictures right", found(right=20), None, LIMITS, None),
    ("fewer", found(right=19), None, LIMITS, Rejection.GOLDEN_SET_FAILED),
    ("collapsed", found(right=20, answers=1), None, LIMITS, Rejection.GOLDEN_SET_FAILED),
    (
        "collapsed, no minimum",
        found(right=20, answers=1),
        None,
        ProofLimits(golden_minimum_accuracy=0),
        Rejection.GOLDEN_SET_FAILED,
    ),
    ("margin just kept", found(right=35), found(right=37), LIMITS, None),
    ("margin exceeded", found(right=34), found(right=37), LIMITS, Rejection.GOLDEN_SET_FAILED),
    ("one picture worse of few", found(right=7, of=8), found(right=8, of=8), LIMITS, None),
    (
        "two pictures worse of few",
        found(right=6, of=8),
        found(right=8, of=8),
        LIMITS,
        Rejection.GOLDEN_SET_FAILED,
    ),
    ("better than a bad active one", found(right=30), found(right=10), LIMITS, None),
    ("the active one was not tried on it", found(right=30), found(10), LIMITS, None),
]


@pytest.mark.parametrize(
    ("candidate", "active", "limits", "reason"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_a_candidate_is_accepted_or_refused_with_a_reason(
    candidate: Findings, active: Findings | None, limits: ProofLimits, reason: Rejection | None
) -> None:
    fault = judge(candidate, active, limits)
    assert (fault.reason if fault else None) is reason
    assert fault is None or fault.detail


def test_a_set_of_one_label_is_no_sign_of_a_collapse() -> None:
    one = GoldenFindings(5, {"a": ClassFindings(5, 5)}, {"a": 5})
    assert judge(Findings(1, 0, one), None, LIMITS) is None


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.01, 1000))
def test_a_model_is_never_refused_for_being_like_the_active_one(
    right: int, of: int, ms: float
) -> None:
    same = found(ms, min(right, of), of=of)
    assert judge(same, same, ProofLimits(golden_minimum_accuracy=0)) is None
