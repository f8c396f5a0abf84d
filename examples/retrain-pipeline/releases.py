"""A release as a folder, and what its model says to pictures: just as a device would hear it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.worker.model.classifier import MAX_SIDE, ClassifierSettings
from agent.worker.model.material import Material, read_material
from agent.worker.model.runtime import find_runtime
from agent.worker.model.tensor_checks import input_spec, output_spec
from agent.worker.model.tensors import Picture, Preprocessor, dequantize

MODEL, LABELS, SETTINGS = "model.tflite", "labels.txt", "model.json"


@dataclass(frozen=True)
class Dataset:
    """Pictures in OpenCV's colour order, and the position of each one's label."""

    pictures: list[Picture]
    labels: NDArray[np.int64]


def read_release(folder: Path) -> Material:
    """Model, labels and, where it has one, ``model.json``.

    Raises OSError, or Rejected when devices could not read it either.
    """
    settings = folder / SETTINGS
    own = settings if settings.exists() else None
    return read_material(folder / MODEL, folder / LABELS, own, ClassifierSettings())


def read_dataset(folder: Path, labels: tuple[str, ...]) -> Dataset:
    """All ``folder/<label>/*.jpg``; exits with advice where there is none of a label."""
    pictures, positions = [], []
    for position, label in enumerate(labels):
        paths = sorted((folder / label).glob("*.jpg"))
        if not paths:
            raise SystemExit(f"no pictures in {folder / label}: every label needs some")
        pictures += [_read_picture(path) for path in paths]
        positions += [position] * len(paths)
    return Dataset(pictures, np.asarray(positions, np.int64))


def outputs(release: Material, pictures: list[Picture]) -> NDArray[np.float32]:
    """What the model answers to each picture: float32 ``[pictures, outputs]``."""
    interpreter = find_runtime().open(release.model, num_threads=2)
    given, answered = input_spec(interpreter, MAX_SIDE), output_spec(interpreter)
    prepare = Preprocessor(given, release.settings.preprocessing)
    interpreter.allocate_tensors()
    found = []
    for picture in pictures:
        interpreter.set_tensor(given.index, prepare(picture))
        interpreter.invoke()
        found.append(dequantize(interpreter.get_tensor(answered.index), answered))
    return np.asarray(found, np.float32)


def _read_picture(path: Path) -> Picture:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise SystemExit(f"{path} is no picture that OpenCV can read; remove it")
    return np.asarray(picture, np.uint8)
