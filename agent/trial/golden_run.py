"""Classifying a golden set inside the trial's sandbox."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from agent.trial.golden_set import GoldenPicture, GoldenSet, GoldenSetInvalid, same_label

if TYPE_CHECKING:
    from agent.worker.model.classifier import Classifier
    from agent.worker.model.tensors import Picture

Note = Callable[[str], None]


def classify_all(
    classifier: Classifier, golden: GoldenSet, seconds: float, note: Note
) -> dict[str, Any]:
    """What the model makes of the pictures, as many as it gets done in that time.

    ``note`` is told of each step before it is taken, so that a crash can be blamed on the right
    file. Raises GoldenSetInvalid for the pictures, Rejected for the model.
    """
    end = time.monotonic() + seconds
    pictures: Counter[str] = Counter()
    right: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for picture in golden.pictures:
        note(f"decoding '{picture.label}/{picture.name}' of the golden set")
        frame = decode(picture)
        note("")
        ((answer, _score),) = classifier.classify(frame).best(classifier.labels, 1)
        pictures[picture.label] += 1
        right[picture.label] += same_label(picture, answer)
        answers[answer] += 1
        if time.monotonic() > end:
            break
    return {
        "available": golden.available,
        "classes": {
            label: {"right": right[label], "pictures": pictures[label]} for label in pictures
        },
        "answers": dict(answers),
        "digest": golden.digest,
    }


def decode(picture: GoldenPicture) -> Picture:
    """The picture as a frame: uint8 ``[height, width, 3]``, BGR. Raises GoldenSetInvalid."""
    content = np.frombuffer(picture.read(), np.uint8)
    try:
        frame = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    except (cv2.error, MemoryError):
        frame = None  # so large that OpenCV refuses it, or that there is no memory for it
    if frame is None:
        raise GoldenSetInvalid(
            f"'{picture.label}/{picture.name}' is no picture that can be decoded"
        )
    return np.asarray(frame, np.uint8)
