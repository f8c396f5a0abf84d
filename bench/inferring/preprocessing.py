"""A camera's picture made into the model's input: ours, and the original's way with Pillow."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import cv2
import numpy as np

from agent.worker.choices import Preprocessing
from agent.worker.model.tensors import Picture, Preprocessor, TensorSpec
from bench.report import Row
from bench.support.original import prepared

_CAMERAS = ((480, 640), (1080, 1920))
_INPUTS = (
    TensorSpec(0, (1, 320, 320, 3), "int8", 1 / 255, -128),
    TensorSpec(0, (1, 224, 224, 3), "float32"),
)


def preprocessing(count: int) -> list[Row]:
    """Medians over so many pictures, taken in turns, in one thread as in the worker's engines."""
    cv2.setNumThreads(1)
    return [_compare(*camera, spec, count) for camera in _CAMERAS for spec in _INPUTS]


def _compare(height: int, width: int, spec: TensorSpec, count: int) -> Row:
    frame = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    prepare, data_type = Preprocessor(spec, Preprocessing()), np.dtype(spec.data_type).type
    rows, columns = spec.shape[1:3]
    ours, theirs = [], []
    for _ in range(count):
        ours.append(_milliseconds(prepare, frame))
        theirs.append(_milliseconds(lambda f: prepared(f, rows, columns, data_type), frame))
    name = f"{width}x{height} to {spec.data_type} {columns}x{rows}"
    return Row(name, "preprocessing", "ms", median(ours), median(theirs))


def _milliseconds(prepare: Callable[[Picture], object], frame: Picture) -> float:
    began = time.perf_counter()
    prepare(frame)
    return (time.perf_counter() - began) * 1e3
