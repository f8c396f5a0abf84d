"""What the comparisons of the commit window catch, and what they must leave alone."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from states.comparing import Result, checks
from states.figures import Comparison
from states.policy import WindowLimits
from states.shares import lower_bound, total_variation, upper_bound
from tests.states.comparisons import ALIKE, COLLAPSED, compared

LIMITS = WindowLimits()


def later(
    candidate: dict[str, object] | None = None,
    previous: dict[str, object] | None = None,
    **changes: object,
) -> Comparison:
    """The later half of the frames."""
    return compared(candidate, previous, **{"compared": 150, **changes})


def failures(comparison: Comparison, *, complete: bool = True) -> list[str]:
    found = checks(comparison, LIMITS, complete=complete)
    return [check.name for check in found if check.result is Result.FAILED]


STATIC: dict[str, object] = {"classes": {"dog": 290, "cat": 10}}
BROKEN = [
    ("slower in both", compared({"inference_p50_ms": 60.0, "inference_p95_ms": 90.0}), "latency"),
    ("one class only", compared(COLLAPSED), "most frequent class"),
    ("unsure", compared({"mean_confidence": 0.55}), "mean confidence"),
    ("labels out of order", compared(agreed=20), "agreement"),
    ("other balance", compared({"classes": {"cat": 20, "fox": 280}}), "other classes"),
    (
        "drops frames",
        compared({"captured": 400, "dropped": 100, "inference_p50_ms": 25.0}),
        "dropped frames",
    ),
    (
        "one class only, other frames",
        compared(COLLAPSED, same_frames=False, compared=0, agreed=0),
        "most frequent class",
    ),
    (
        "one class only, after 40 frames",
        compared({"classes": {"cat": 282, "dog": 18}}, later_half=later(COLLAPSED)),
        "later half: class",
    ),
    (
        "slow after 160 of 300 frames",
        compared(
            {"inference_p50_ms": 10.0, "inference_p95_ms": 90.0},
            later_half=later({"inference_p50_ms": 60.0, "inference_p95_ms": 90.0}),
        ),
        "later half: latency",
    ),
]
DIFFERENT = [
    ("alike", ALIKE),
    ("a larger model", compared({"inference_p50_ms": 29.0, "inference_p95_ms": 41.0})),
    ("slow only now and then", compared({"inference_p95_ms": 300.0})),
    ("a quick model on a busy machine", compared({"inference_p50_ms": 25.0}, {"dropped": 0})),
    (
        "many times slower, and still quick",
        compared(
            {"inference_p50_ms": 5.0, "inference_p95_ms": 9.0},
            {"inference_p50_ms": 0.1, "inference_p95_ms": 0.2},
        ),
    ),
    ("right where the other was mostly wrong", compared(agreed=100)),
    ("another mind about a scene that stands still", compared(COLLAPSED, STATIC, agreed=10)),
    ("the same one thing seen by both", compared(COLLAPSED, COLLAPSED, agreed=300)),
    (
        "new classes",
        compared({"classes": {"fox": 300}}, agreed=0, same_labels=False),
    ),
    (
        "other frames, another scene",
        compared(
            {"classes": {"cat": 20, "fox": 280}, "mean_confidence": 0.4},
            same_frames=False,
            compared=0,
            agreed=0,
        ),
    ),
    (
        "a source quicker than either",
        compared({"captured": 600, "dropped": 300}, {"captured": 800, "dropped": 420}),
    ),
    (
        "drops that come of sharing the processor",
        compared({"captured": 400, "dropped": 100}),
    ),
    (
        "scores that are no probabilities",
        compared({"mean_confidence": 3.0}, {"mean_confidence": 9}),
    ),
    (
        "many classes",
        compared({"classes": dict.fromkeys("efg", 100)}, {"classes": dict.fromkeys("abcd", 75)}),
    ),
    ("hardly anything seen", compared(COLLAPSED, compared=29, agreed=0)),
    ("right about the same five persons", compared(COLLAPSED, {"changes": 5})),
    ("one thing for half the time", compared(later_half=later(COLLAPSED, STATIC))),
    ("half a short window", compared(later_half=later(COLLAPSED, compared=99))),
    (
        "a half in which the release before was mostly wrong",
        compared(later_half=later(COLLAPSED, {"classes": {"cat": 105, "dog": 45}})),
    ),
    ("a moment's rest in half a window", compared(later_half=later({"inference_p95_ms": 90.0}))),
    (
        "other frames have no halves",
        compared(same_frames=False, later_half=later(COLLAPSED), compared=0, agreed=0),
    ),
]


@pytest.mark.parametrize(
    ("comparison", "name"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_a_broken_release_fails_the_check_made_for_it(comparison: Comparison, name: str) -> None:
    assert any(failed.startswith(name) for failed in failures(comparison))


@pytest.mark.parametrize("comparison", [c for _, c in DIFFERENT], ids=[n for n, _ in DIFFERENT])
def test_a_release_that_is_only_different_fails_none(comparison: Comparison) -> None:
    assert failures(comparison) == []


def test_what_is_said_of_labels_waits_for_the_end_of_the_window() -> None:
    for _, comparison, name in BROKEN:
        early = name.startswith(("latency", "dropped", "later half: latency"))
        assert bool(failures(comparison, complete=False)) is early


def test_every_check_says_why_it_was_not_made() -> None:
    skipped = checks(compared(same_frames=False, why_not="memory"), LIMITS, complete=True)
    reasons = {c.name: c.why for c in skipped if c.result is Result.SKIPPED}
    assert reasons["agreement"] == "not the same frames: memory"
    assert all(reasons.values())


def answers(scenes: list[int], accuracy: float, dice: random.Random, classes: int) -> list[int]:
    """What a model of that accuracy says; it errs for a whole scene, not frame by frame."""
    said = {}
    for scene in set(scenes):
        truth = scene % classes
        right = dice.random() < accuracy
        said[scene] = truth if right else dice.randrange(classes)
    return [said[scene] for scene in scenes]


QUICK, MIXED, SLOW, STILL = [1, 5, 15], [15, 30, 60], [60], [150]


def shots(lengths: list[int], dice: random.Random) -> list[int]:
    """What a camera sees in 300 frames: each scene for a while."""
    scenes: list[int] = []
    while len(scenes) < 300:
        scenes += [dice.randrange(1000)] * dice.choice(lengths)
    return scenes[:300]


def side(said: list[int], confidence: float) -> dict[str, object]:
    changes = sum(a != b for a, b in pairwise(said))
    return {"classes": Counter(map(str, said)), "changes": changes, "mean_confidence": confidence}


def answered(new: list[int], old: list[int], dice: random.Random) -> Comparison:
    """The comparison of these answers, with its later half."""
    sure = dice.uniform(0.7, 0.95), dice.uniform(0.6, 0.95)

    def part(start: int) -> Comparison:
        mine, theirs = new[start:], old[start:]
        agreed = sum(a == b for a, b in zip(mine, theirs, strict=True))
        sides = side(mine, sure[0]), side(theirs, sure[1])
        return compared(*sides, compared=len(mine), agreed=agreed)

    return replace(part(0), later_half=part(150))


@pytest.mark.parametrize("lengths", [QUICK, MIXED, SLOW, STILL])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_no_good_release_is_refused_in_thousands_of_windows(
    classes: int, lengths: list[int]
) -> None:
    dice = random.Random(classes)
    for _ in range(400):
        scenes = shots(lengths, dice)
        old = answers(scenes, dice.uniform(0.5, 0.98), dice, classes)
        new = answers(scenes, dice.uniform(0.8, 0.98), dice, classes)
        assert failures(answered(new, old, dice)) == []


@pytest.mark.parametrize("good", [0, 40, 150])
def test_a_release_that_says_one_thing_from_some_frame_on_is_mostly_caught(good: int) -> None:
    dice, caught = random.Random(good), 0
    for _ in range(200):
        scenes = shots(QUICK, dice)
        old, new = (answers(scenes, 0.95, dice, 3) for _ in range(2))
        caught += bool(failures(answered(new[:good] + [0] * (300 - good), old, dice)))
    assert caught >= 190


def test_bounds_enclose_the_share_and_narrow_with_the_number() -> None:
    assert lower_bound(30, 300) < 0.1 < upper_bound(30, 300)
    assert upper_bound(0, 30) > upper_bound(0, 300) > 0
    assert (lower_bound(0, 0), upper_bound(0, 0)) == (0.0, 1.0)


def test_total_variation_is_none_for_the_same_and_all_for_nothing_shared() -> None:
    assert total_variation({"a": 5, "b": 5}, {"a": 50, "b": 50}) == 0
    assert total_variation({"a": 1}, {"b": 9}) == 1
    assert total_variation({}, {}) == 0
