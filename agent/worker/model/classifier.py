"""One model with its labels, ready to classify: what both the engine and the trial load run.

Only ever used in a child process: a malformed model can crash its process.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from agent.worker.choices import DeclaredTensor, Preprocessing
from agent.worker.model.runtime import Runtime
from agent.worker.model.tensor_checks import check_declared, input_spec, output_spec
from agent.worker.model.tensors import (
    Picture,
    Preprocessor,
    Scores,
    TensorSpec,
    dequantize,
    top_k,
)
from states.ports import Rejected
from states.reasons import Rejection

MAX_SIDE = 2048


@dataclass(frozen=True)
class ClassifierSettings:
    """How to run a model; plain data, so that it can be handed to another process."""

    num_threads: int = 1
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    max_side: int = MAX_SIDE
    input: DeclaredTensor = field(default_factory=DeclaredTensor)
    output: DeclaredTensor = field(default_factory=DeclaredTensor)


@dataclass(frozen=True)
class Prediction:
    """Scores float32 ``[classes]``, and what it took in milliseconds."""

    scores: Scores
    preprocess_ms: float
    inference_ms: float

    def best(self, labels: Sequence[str], count: int) -> list[tuple[str, float]]:
        """(label, score), best first."""
        return [(labels[index], score) for index, score in top_k(self.scores, count)]


class Classifier:
    """A model that passed every check that can be made without knowing what it should answer."""

    def __init__(
        self, runtime: Runtime, model: bytes, labels: Sequence[str], settings: ClassifierSettings
    ) -> None:
        """Raises Rejected, naming what is wrong with the model."""
        self.labels = tuple(labels)
        self._interpreter = runtime.open(model, settings.num_threads)
        # Declared sizes are checked before anything is allocated.
        self.input = input_spec(self._interpreter, settings.max_side)
        self.output = output_spec(self._interpreter)
        check_declared(self.input, settings.input, "input")
        check_declared(self.output, settings.output, "output")
        _check_label_count(self.output, self.labels)
        self._preprocessor = Preprocessor(self.input, settings.preprocessing)
        self._allocate()

    def _allocate(self) -> None:
        try:
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise Rejected(Rejection.MODEL_INVALID, f"tensors: {_one_line(error)}") from error
        except MemoryError as error:
            detail = "its tensors do not fit into the memory it may use"
            raise Rejected(Rejection.MODEL_UNSUPPORTED, detail) from error

    def classify(self, frame: Picture) -> Prediction:
        """Scores of a frame, uint8 ``[height, width, 3]`` in OpenCV's colour order.

        Raises Rejected when the model can't be run or answers with numbers that are none.
        """
        started = time.perf_counter()
        value = self._preprocessor(frame)
        prepared = time.perf_counter()
        try:
            self._interpreter.set_tensor(self.input.index, value)
            self._interpreter.invoke()
            raw = self._interpreter.get_tensor(self.output.index)
        except (ValueError, RuntimeError) as error:
            raise Rejected(Rejection.MODEL_INVALID, f"invoke: {_one_line(error)}") from error
        scores = dequantize(raw, self.output)
        _check_scores(scores, self.output)
        finished = time.perf_counter()
        return Prediction(scores, (prepared - started) * 1e3, (finished - prepared) * 1e3)

    def warm_up(self) -> None:
        """Classify dark, bright, noisy and shaded pictures: first ones are often slow."""
        for picture in probe_pictures(self.input.shape[1], self.input.shape[2]):
            self.classify(picture)


def probe_pictures(height: int, width: int) -> list[Picture]:
    """Pictures that differ as much as pictures can; always the same ones."""
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    shades = np.linspace(0, 255, width, dtype=np.uint8)
    shaded = np.broadcast_to(shades[np.newaxis, :, np.newaxis], (height, width, 3)).copy()
    return [np.zeros_like(noise), np.full_like(noise, 255), noise, shaded]


def _check_label_count(output: TensorSpec, labels: tuple[str, ...]) -> None:
    classes = output.shape[-1]
    if classes != len(labels):
        raise Rejected(
            Rejection.LABEL_COUNT_MISMATCH,
            f"the model has {classes} outputs, the labels file {len(labels)} labels",
        )


def _check_scores(scores: Scores, output: TensorSpec) -> None:
    if len(scores) != output.shape[-1]:
        raise _invalid(f"it answered {len(scores)} scores instead of {output.shape[-1]}")
    if not np.isfinite(scores).all():
        raise _invalid("it answered scores that are not finite numbers")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _invalid(detail: str) -> Rejected:
    return Rejected(Rejection.MODEL_INVALID, detail)
