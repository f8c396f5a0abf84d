"""The population stability index, and the first hour it is measured against."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.telemetry.counts import Confidence, Counts
from agent.telemetry.drift import BASELINE_SECONDS, LEAST_FRAMES, Picture, drift, stability_index
from agent.telemetry.drift_watch import DriftWatch, Followed


def counts(histogram: Sequence[int], classes: dict[str, int] | None = None) -> Counts:
    frames = sum(histogram)
    return Counts(
        classified=frames,
        classes=classes or {"red": frames},
        confidence=Confidence(histogram=tuple(histogram)),
    )


SURE = [0] * 9 + [1000]
UNSURE = [1000] + [0] * 9
SPREAD = [100] * 10


@pytest.mark.parametrize(
    ("expected", "observed", "index"),
    [
        (SPREAD, SPREAD, 0.0),
        # By hand: shares 0.5 and 0.5 against 0.25 and 0.75, the smoothing lost in the size.
        ([10**9, 10**9], [10**9, 3 * 10**9], 0.25 * math.log(0.5 / 0.25) + 0.25 * math.log(1.5)),
        # One frame a side in opposite bins: half a frame more in each makes it 3:1 against 1:3.
        ([1, 0], [0, 1], math.log(3)),
    ],
)
def test_known_values(expected: list[int], observed: list[int], index: float) -> None:
    assert stability_index(expected, observed) == pytest.approx(index)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=21))
def test_it_is_never_negative_never_infinite_and_the_same_both_ways(
    bins: list[tuple[int, int]],
) -> None:
    left, right = zip(*bins, strict=True)
    index = stability_index(left, right)
    assert 0 <= index + 1e-12 < math.inf
    assert index == pytest.approx(stability_index(right, left))


def baseline(histogram: Sequence[int], classes: dict[str, int] | None = None) -> Picture:
    return Picture().plus(counts(histogram, classes), BASELINE_SECONDS)


def test_a_changed_scene_shows_in_the_classes_alone() -> None:
    before = baseline(SPREAD, {"red": 500, "green": 500})
    after = Picture().plus(counts(SPREAD, {"red": 500, "blue": 500}), 60)
    measured = drift(before, after)
    assert measured is not None
    assert measured.confidence == 0
    assert measured.psi == measured.classes > 0.25


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (baseline(SURE), Picture().plus(counts(SURE), 60), True),
        (
            Picture().plus(counts(SURE), BASELINE_SECONDS - 1),
            Picture().plus(counts(SURE), 9),
            False,
        ),
        (baseline([1] * 10), Picture().plus(counts(SURE), 60), False),
        (baseline(SURE), Picture().plus(counts([1] * 10), 60), False),
    ],
    ids=["enough", "less than an hour", "few frames in the hour", "few frames now"],
)
def test_too_little_to_compare_says_nothing(before: Picture, after: Picture, told: bool) -> None:
    assert (drift(before, after) is not None) is told


def test_the_first_hour_is_followed_and_then_stands() -> None:
    followed = Followed()
    for _ in range(60):
        assert followed.drift is None
        followed = followed.after(counts(SURE), 60)
    hour = followed.baseline
    assert hour.is_baseline
    assert hour.frames == 60_000
    followed = followed.after(counts(UNSURE), 60)
    assert followed.baseline is hour
    assert followed.drift is not None
    assert followed.drift.psi > 0.25


def test_a_slow_camera_is_compared_once_it_has_frames_enough() -> None:
    followed = Followed(baseline(SURE))
    told = []
    for _ in range(9):
        followed = followed.after(counts([0] * 9 + [LEAST_FRAMES // 4]), 60)
        told.append(followed.drift.frames if followed.drift else 0)
    assert told == [0, 0, 0, LEAST_FRAMES, 0, 0, 0, LEAST_FRAMES, 0]


def test_a_baseline_comes_back_from_the_journal() -> None:
    half = Picture().plus(counts(SURE), BASELINE_SECONDS / 2)
    watch = DriftWatch({"a": half.model_dump_json()}.get)
    assert watch.of("a").after(counts(SURE), BASELINE_SECONDS / 2).baseline.is_baseline
    assert watch.of("b").baseline.frames == 0
