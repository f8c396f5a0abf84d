"""How the original inference script treats a picture, written anew: Pillow, then numpy.

It is what ``camera_infer_tflite.py`` of the original updater does between camera and answer,
without its window on the screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agent.worker.model.runtime import Interpreter, Runtime
from agent.worker.model.tensors import Picture

TOP = 3


def prepared(frame: Picture, height: int, width: int, data_type: type) -> NDArray[Any]:
    """A frame in OpenCV's colour order as the input tensor ``[1, height, width, 3]``."""
    picture = Image.fromarray(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))
    small = picture.resize((width, height), Image.Resampling.BILINEAR)
    values = np.asarray(small).astype(np.float32)
    if data_type is np.int8:
        values = (values.astype(np.int32) - 128).astype(np.int8)
    elif data_type is np.float32:
        values = values / np.float32(255)
    return np.expand_dims(values.astype(data_type), axis=0)


class OriginalClassifier:
    """A model and its labels as the original loads and runs them."""

    def __init__(self, runtime: Runtime, model: Path, labels: Path) -> None:
        self._interpreter = runtime.open(model.read_bytes())
        self._interpreter.allocate_tensors()
        self._labels = [line.strip() for line in labels.read_text().splitlines() if line.strip()]

    def classify(self, frame: Picture) -> Sequence[tuple[str, float]]:
        """(label, probability), best first."""
        source = self._interpreter.get_input_details()[0]
        height, width = int(source["shape"][1]), int(source["shape"][2])
        value = prepared(frame, height, width, source["dtype"])
        self._interpreter.set_tensor(source["index"], value)
        self._interpreter.invoke()
        probabilities = _probabilities(self._interpreter)
        best = np.argsort(probabilities)[-TOP:][::-1]
        return [(self._labels[index], float(probabilities[index])) for index in best]


def _probabilities(interpreter: Interpreter) -> NDArray[np.float32]:
    target = interpreter.get_output_details()[0]
    scores = np.squeeze(interpreter.get_tensor(target["index"]))
    scale, zero_point = target["quantization"]
    if scale:
        scores = scale * (scores.astype(np.float32) - zero_point)
    if scores.min() < 0 or scores.max() > 1 or not np.isclose(scores.sum(), 1.0):
        powers = np.exp(scores - np.max(scores))
        scores = powers / np.sum(powers)
    return np.asarray(scores, np.float32)
