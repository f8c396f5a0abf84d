"""Whether a canary may go on, as a table: each criterion alone can stop it, or make it wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from provisioning.analysis.promotion import (
    Criteria,
    Criterion,
    Evidence,
    Outcome,
    decision,
    judge,
    setbacks_of,
)
from provisioning.fleet_view import DeviceView
from provisioning.metrics import Metrics, Observation
from provisioning.resources import OtaEvent
from tests.support.telemetry import minutes

NOW = datetime(2026, 11, 23, tzinfo=UTC)
WANTED = {"ai-model": "2", "labels": "2"}


def device(number: int, status: str = "current", why: str = "") -> DeviceView:
    return DeviceView(
        f"camera-{number}", f"id-{number}", "canary", status, True, NOW, WANTED, WANTED, why
    )


def observed(name: str, devices: int = 3, each: int = 60, **figures: Any) -> list[Observation]:
    return [
        Observation(f"{name}-{i}", NOW, Metrics.model_validate(document))
        for i in range(devices)
        for document in minutes(each, seed=i, **{"accuracy": 0.95, **figures})
    ]


def evidence(**parts: Any) -> Evidence:
    """A canary of three devices that does as well as what production runs."""
    good = Evidence(
        devices=[device(i) for i in range(3)],
        setbacks={},
        observations=observed("id"),
        before=observed("old"),
        before_where="in production",
    )
    return replace(good, **parts)


def outcomes(criteria: Sequence[Criterion]) -> dict[str, Outcome]:
    return {each.name: each.outcome for each in criteria if each.outcome is not Outcome.MET}


def test_a_good_canary_goes_on() -> None:
    found = judge(evidence(), Criteria())
    assert outcomes(found) == {}
    assert decision(found) is Outcome.MET
    assert [each.name for each in found] == [
        "devices",
        "rolled back or refused",
        "observed",
        "frames",
        "accuracy",
        "confidence",
        "errors",
        "dropped frames",
        "latency p95",
    ]
    assert all(each.figure and each.limit for each in found)


@pytest.mark.parametrize(
    ("parts", "name", "outcome", "said"),
    [
        ({"devices": []}, "devices", Outcome.FAILED, "no devices in the cohort"),
        (
            {"devices": [device(0), device(1), device(2, "updating")]},
            "devices",
            Outcome.WAITING,
            "2 of 3 (camera-2 updating)",
        ),
        (
            {"devices": [device(0), device(1), device(2, "rolled back", "commit-window-failed")]},
            "rolled back or refused",
            Outcome.FAILED,
            "camera-2 rolled back: commit-window-failed",
        ),
        (
            {"devices": [device(0), device(1), device(2, "refused", "too-slow")]},
            "rolled back or refused",
            Outcome.FAILED,
            "camera-2 refused: too-slow",
        ),
        (
            {"setbacks": {"id-1": "ai-model 2: update failed"}},
            "rolled back or refused",
            Outcome.FAILED,
            "camera-1 ai-model 2: update failed",
        ),
        (
            {"observations": observed("id", devices=2)},
            "observed",
            Outcome.WAITING,
            "2 of 3 devices, the shortest 0 min",
        ),
        (
            {"observations": observed("id", frames=5)},
            "frames",
            Outcome.WAITING,
            "900",
        ),
        ({"observations": observed("id", accuracy=0.88)}, "accuracy", Outcome.FAILED, " against 9"),
        (
            {"observations": observed("id", confidence=0.8)},
            "confidence",
            Outcome.FAILED,
            " against 0.90",
        ),
        ({"observations": observed("id", errors=40)}, "errors", Outcome.FAILED, "points ["),
        ({"observations": observed("id", dropped=90)}, "dropped frames", Outcome.FAILED, "points"),
        ({"observations": observed("id", p95=30)}, "latency p95", Outcome.FAILED, "ms ["),
        ({"before": []}, "confidence", Outcome.WAITING, "too little to compare"),
        ({"before_where": None}, "confidence", Outcome.SKIPPED, "no release to compare with"),
        (
            {"before": observed("old", accuracy=None)},
            "accuracy",
            Outcome.SKIPPED,
            "no labelled pictures on both",
        ),
    ],
)
def test_each_criterion_alone_decides(
    parts: dict[str, Any], name: str, outcome: Outcome, said: str
) -> None:
    found = judge(evidence(**parts), Criteria())
    (criterion,) = (each for each in found if each.name == name)
    assert criterion.outcome is outcome
    assert said in criterion.figure
    others = Outcome.FAILED in outcomes([c for c in found if c.name != name]).values()
    assert not others
    assert decision(found) is (Outcome.MET if outcome is Outcome.SKIPPED else outcome)


@pytest.mark.parametrize(
    ("criteria", "parts"),
    [
        ({"confirmed": 0.6}, {"devices": [device(0), device(1), device(2, "updating")]}),
        ({}, {"devices": [*map(device, range(3)), device(3, "disabled")]}),
        ({"accuracy": 0.1}, {"observations": observed("id", accuracy=0.92)}),
        ({"latency": 0.6}, {"observations": observed("id", p95=30)}),
        ({"errors": 0.03}, {"observations": observed("id", errors=40)}),
        ({}, {"observations": observed("id", accuracy=0.99, p95=5, confidence=0.97)}),
    ],
)
def test_what_is_let_pass_passes(criteria: dict[str, Any], parts: dict[str, Any]) -> None:
    found = judge(evidence(**parts), Criteria(**criteria))
    assert decision(found) is Outcome.MET, outcomes(found)


def test_early_figures_make_it_wait_and_do_not_fail_it() -> None:
    bad = observed("id", each=10, accuracy=0.7)
    found = judge(evidence(observations=bad), Criteria())
    assert outcomes(found) == {"observed": Outcome.WAITING, "accuracy": Outcome.WAITING}
    assert decision(found) is Outcome.WAITING


def test_a_few_pictures_are_no_reason_to_pass() -> None:
    few = observed("id", each=2, accuracy=0.95, frames=10_000, interval_s=3600)
    assert outcomes(judge(evidence(observations=few), Criteria())) == {"accuracy": Outcome.WAITING}


def event(device_id: str, status: int, target: str = "2", package: str = "ai-model") -> OtaEvent:
    return OtaEvent(
        device_id=device_id,
        package_id=package,
        event_type="UPDATING",
        status=status,
        target_version=target,
        message="update failed",
    )


@pytest.mark.parametrize(
    ("statuses", "is_setback"),
    [
        ((0, 0, 1, 0), False),  # confirmed
        ((0, 8, 0), True),  # refused or taken back
        ((0, 8, 0, 0, 1, 0), True),  # and served it after a retry by hand
        ((0, 4, 11, 0, 1, 0), False),  # link lost, tried again by itself
        ((0, 4, 11, 0, 8, 0), True),
        ((0, 8), False),  # what follows is not there yet
        ((), False),
    ],
)
def test_a_setback_is_a_failure_that_is_not_tried_again(
    statuses: tuple[int, ...], is_setback: bool
) -> None:
    # Another device in between must not matter, nor another release.
    noise = [event("other", 0), event("one", 8, target="1"), event("one", 0, target="1")]
    newest_first = [event("one", status) for status in statuses][::-1]
    found = setbacks_of([*newest_first, *noise[::-1]], WANTED)
    assert found == ({"one": "ai-model 2: update failed"} if is_setback else {})
