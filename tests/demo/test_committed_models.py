"""The committed models and pictures are what demo/README.md says, on each runtime."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from demo.training.measure import (
    DEMO,
    RUNTIMES,
    LabelledPictures,
    answers,
    load_interpreter,
    load_pictures,
)

MODELS = DEMO / "models"
LABELS = ["bell-pepper", "oranges"]
# The runtimes round differently in a few of a hundred scores.
ROUNDING = 1
# How often each model is right, as the table in the README claims.
CLAIMS = {
    name: int(right)
    for name, right in re.findall(
        r"^\| `([\w-]+)\.tflite` .*\| (\d+) of 40 ", (DEMO / "README.md").read_text(), re.MULTILINE
    )
}
runtimes = pytest.mark.parametrize(
    "runtime",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                importlib.util.find_spec(name) is None, reason=f"{name} is not installed"
            ),
        )
        for name in RUNTIMES
    ],
)


@pytest.fixture(scope="module")
def labelled() -> LabelledPictures:
    return load_pictures(DEMO / "pictures", LABELS)


def test_the_readme_claims_something_about_each_model() -> None:
    assert set(CLAIMS) == {path.stem for path in MODELS.glob("*.tflite")}
    assert {"model-1", "model-2", "three-outputs", "collapsed"} <= set(CLAIMS)


def test_the_labels_are_in_the_order_of_the_outputs() -> None:
    assert (MODELS / "labels.txt").read_text() == "bell-pepper\noranges\n"


def test_there_are_twenty_pictures_of_each_class(labelled: LabelledPictures) -> None:
    assert labelled.pictures.shape == (40, 320, 320, 3)
    assert Counter(labelled.labels.tolist()) == {0: 20, 1: 20}


def test_no_picture_is_there_twice(labelled: LabelledPictures) -> None:
    small = sorted(cv2.resize(p, (8, 8)).tobytes() for p in labelled.pictures)
    assert all(first != second for first, second in pairwise(small))


def test_everything_together_stays_small() -> None:
    files = [path for folder in ("models", "pictures") for path in (DEMO / folder).rglob("*.*")]
    assert sum(path.stat().st_size for path in files) < 5_000_000


@runtimes
@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_a_model_is_of_the_shape_that_agents_expect(name: str, runtime: str) -> None:
    interpreter = load_interpreter(MODELS / f"{name}.tflite", runtime)
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (given["shape"].tolist(), given["dtype"]) == ([1, 320, 320, 3], np.int8)
    outputs = 3 if name == "three-outputs" else 2
    assert (wanted["shape"].tolist(), wanted["dtype"]) == ([1, outputs], np.int8)
    scale, zero_point = given["quantization"]
    assert scale == pytest.approx(1 / 255, rel=1e-3)  # Edge Impulse's convention: pixel - 128
    assert zero_point == -128


@runtimes
@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_a_model_is_as_often_right_as_the_readme_says(
    name: str, runtime: str, labelled: LabelledPictures
) -> None:
    right = answers(MODELS / f"{name}.tflite", labelled.pictures, runtime).right(labelled.labels)
    assert abs(right - CLAIMS[name]) <= ROUNDING


@runtimes
def test_the_collapsed_model_always_gives_the_same_answer(
    runtime: str, labelled: LabelledPictures
) -> None:
    found = answers(MODELS / "collapsed.tflite", labelled.pictures, runtime)
    assert len(set(found.classes.tolist())) == 1


def test_a_retrained_head_leaves_most_bytes_as_they_were() -> None:
    first, second = (
        (MODELS / f"{name}.tflite").read_bytes() for name in ("model-2", "model-2-retrained-head")
    )
    assert first != second
    changed = sum(a != b for a, b in zip(first, second, strict=False))
    assert changed < 2_000
    assert abs(len(first) - len(second)) < 100


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "oranges").mkdir()
    (tmp_path / "oranges" / "01.jpg").write_bytes(b"no picture")
    with pytest.raises(FileNotFoundError, match=r"01\.jpg is no picture"):
        load_pictures(tmp_path, LABELS)
