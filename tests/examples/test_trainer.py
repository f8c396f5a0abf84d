"""The examples' trainer: what it writes into a model, and how good that is."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluate import chance, evaluate
from head import Head, UnsuitableModel, read_head, with_head, without_head
from numpy.typing import NDArray
from releases import Dataset, outputs, read_dataset, read_release
from site_pictures import camera_scenes, held_out_scenes, write_lit
from train import train

from agent.worker.model.material import Material
from agent.worker.model.runtime import PROBE_MODEL
from demo.training.measure import DEMO, answers, available_runtimes
from tests.support.tiny_models import TinyModel

EXAMPLE = Path(__file__).parents[2] / "examples" / "retrain-pipeline"
# Mean red, green and blue of the scenes in daylight.
REFERENCE = np.array([118.5, 109.4, 95.0])
# A picture more or less is how processors and runtimes round.
ROUNDING = 1
CLAIMS = {
    light: tuple(map(int, (base, head, light_alone, both)))
    for light, base, head, light_alone, both in re.findall(
        r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|",
        (EXAMPLE / "README.md").read_text(),
        re.MULTILINE,
    )
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    shutil.copy(DEMO / "models" / "model-2.tflite", folder / "model.tflite")
    shutil.copy(DEMO / "models" / "labels.txt", folder)
    return folder


@pytest.fixture(scope="module")
def release(base: Path) -> Material:
    return read_release(base)


@pytest.fixture(scope="module")
def demo_pictures(release: Material) -> Dataset:
    return read_dataset(DEMO / "pictures", release.labels)


@pytest.fixture(scope="module")
def lit(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """Folders of what a site's cameras see and of held-out pictures, by light."""
    folder = tmp_path_factory.mktemp("lit")
    scenes = camera_scenes(60)

    def write(light: str) -> tuple[Path, Path]:
        camera, held_out = folder / light / "camera", folder / light / "held-out"
        write_lit(scenes, light, camera)
        write_lit(held_out_scenes(), light, held_out)
        return camera, held_out

    return write


def right(release: Material, dataset: Dataset) -> int:
    return int((outputs(release, dataset.pictures).argmax(axis=1) == dataset.labels).sum())


def features_of(release: Material, dataset: Dataset) -> NDArray[np.float32]:
    return outputs(replace(release, model=without_head(release.model)), dataset.pictures)


def test_a_head_that_is_written_back_changes_no_answer(
    release: Material, demo_pictures: Dataset
) -> None:
    head = read_head(release.model)
    logits = head.logits(features_of(release, demo_pictures))
    again = replace(release, model=with_head(release.model, head, logits))
    before, after = (outputs(r, demo_pictures.pictures) for r in (release, again))
    assert np.abs(before - after).max() < 0.05
    assert abs(right(again, demo_pictures) - right(release, demo_pictures)) <= ROUNDING


@pytest.mark.parametrize("runtime", available_runtimes())
def test_each_runtime_answers_with_the_head_it_was_given(
    runtime: str, release: Material, demo_pictures: Dataset, tmp_path: Path
) -> None:
    features = features_of(release, demo_pictures)
    weights = np.random.default_rng(5).normal(0, 0.3, (2, features.shape[1]))
    weights[1] *= 3  # one scale serves both rows
    given = Head(weights, -(weights @ features.mean(axis=0)))
    model = with_head(release.model, given, given.logits(features))
    assert len(model) == len(release.model)
    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    pictures = np.asarray([p[..., ::-1] for p in demo_pictures.pictures])
    found = answers(path, pictures, runtime).classes
    expected = given.logits(features).argmax(axis=1)
    assert set(expected) == {0, 1}
    assert (found != expected).sum() <= ROUNDING


def test_a_model_with_another_end_is_refused() -> None:
    with pytest.raises(UnsuitableModel, match="not quantized to int8"):
        read_head(TinyModel(data_type="float32").build())
    with pytest.raises(UnsuitableModel, match="does not end in a dense layer"):
        read_head(PROBE_MODEL)


@pytest.mark.parametrize(
    ("gained", "lost", "expected"),
    [(0, 0, 1.0), (1, 0, 0.5), (5, 0, 1 / 32), (4, 1, 6 / 32), (0, 5, 1.0), (12, 1, 14 / 2**13)],
)
def test_the_chance_is_that_of_a_coin(gained: int, lost: int, expected: float) -> None:
    assert chance(gained, lost) == pytest.approx(expected)


def test_a_model_that_learned_wrong_labels_is_not_better(base: Path, tmp_path: Path) -> None:
    learned = tmp_path / "learned"
    for folder, label in (("oranges", "bell-pepper"), ("bell-pepper", "oranges")):
        shutil.copytree(DEMO / "pictures" / folder, learned / label)
    train(base, learned, tmp_path / "candidate", None)
    found = evaluate(tmp_path / "candidate", base, DEMO / "pictures")
    assert found["candidate_right"] < found["current_right"] / 2
    assert found["chance"] > 0.99


@pytest.mark.parametrize("light", CLAIMS)
def test_training_is_as_good_as_the_readme_says(
    light: str,
    base: Path,
    release: Material,
    lit: Callable[[str], tuple[Path, Path]],
    tmp_path: Path,
) -> None:
    camera, held_out = lit(light)
    train(base, camera, tmp_path / "head", None)
    both = train(base, camera, tmp_path / "both", REFERENCE)
    shutil.copytree(tmp_path / "both", tmp_path / "light")
    shutil.copy(base / "model.tflite", tmp_path / "light")
    dataset = read_dataset(held_out, release.labels)
    releases = [base, *(tmp_path / name for name in ("head", "light", "both"))]
    found = [right(read_release(folder), dataset) for folder in releases]
    assert np.abs(np.subtract(found, CLAIMS[light])).max() <= 2 * ROUNDING, found
    assert both["bytes_changed"] < 1000
