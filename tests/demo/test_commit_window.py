"""The commit window's thresholds on real answers: good models always pass, a collapsed one never.

Each run shows 300 of the labelled pictures in an order of its own, some of them more often.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from statistics import mean

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.worker.model.classifier import Classifier, ClassifierSettings
from agent.worker.model.runtime import find_runtime
from demo.training.measure import DEMO, load_pictures
from states.figures import Comparison, Showing, WorkerFigures
from states.policy import WindowLimits
from states.window import Verdict, Window

RUNS = 50
LIMITS = WindowLimits()
LABELS = ["bell-pepper", "oranges"]
GOOD = ("model-1", "model-2", "model-2-retrained-head")
Answers = list[tuple[str, float]]


@pytest.fixture(scope="module")
def answers() -> dict[str, Answers]:
    """What each model says of each of the forty pictures."""
    pictures = load_pictures(DEMO / "pictures", LABELS).pictures[..., ::-1]  # BGR, as from a camera
    return {name: answered(name, pictures) for name in (*GOOD, "collapsed")}


def answered(name: str, pictures: NDArray[np.uint8]) -> Answers:
    model = (DEMO / "models" / f"{name}.tflite").read_bytes()
    classifier = Classifier(find_runtime(), model, LABELS, ClassifierSettings())
    return [
        classifier.classify(np.ascontiguousarray(picture)).best(LABELS, 1)[0]
        for picture in pictures
    ]


def shown(answers: Answers) -> Showing:
    count = len(answers)
    confidence = mean(score for _, score in answers)
    classes = Counter(label for label, _ in answers)
    changes = sum(one[0] != other[0] for one, other in pairwise(answers))
    return Showing(count, count, 0, 0, 2.0, 3.0, confidence, classes, changes)


def comparison(mine: Answers, theirs: Answers) -> Comparison:
    agreed = sum(a[0] == b[0] for a, b in zip(mine, theirs, strict=True))
    return Comparison("new", "old", len(mine), agreed, True, shown(mine), shown(theirs))


def verdicts(new: Answers, old: Answers) -> Counter[Verdict]:
    dice = random.Random(1)
    found: Counter[Verdict] = Counter()
    for _ in range(RUNS):
        seen = dice.choices(range(len(new)), k=LIMITS.frames)
        mine, theirs = [new[i] for i in seen], [old[i] for i in seen]
        middle = LIMITS.frames // 2
        half = comparison(mine[middle:], theirs[middle:])
        beside = replace(comparison(mine, theirs), later_half=half)
        count = len(seen)
        figures = WorkerFigures("new", count, count, 0, 0, comparison=beside)
        window = Window("new", 0, WorkerFigures("new", 0, 0, 0, 0))
        found[window.judge(figures, LIMITS).verdict] += 1
    return found


@pytest.mark.parametrize("old", GOOD)
@pytest.mark.parametrize("new", GOOD)
def test_a_good_model_is_never_rejected(answers: dict[str, Answers], new: str, old: str) -> None:
    assert verdicts(answers[new], answers[old]) == {Verdict.CONFIRMED: RUNS}


def test_a_collapsed_model_never_passes(answers: dict[str, Answers]) -> None:
    for old in ("model-2", "model-2-retrained-head"):
        assert verdicts(answers["collapsed"], answers[old]) == {Verdict.FAILED: RUNS}
