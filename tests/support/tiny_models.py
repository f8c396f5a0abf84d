"""Real .tflite models of a few hundred bytes, so that tests drive a real interpreter quickly.

The graph: average each colour channel over the picture, one fully connected layer, softmax.
``weights[k]`` says how much class k likes (red, green, blue), each channel in 0..1. The default
answers class 0 to a red picture, class 1 to a green one, class 2 to a blue one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from bench.support.tflite_graph import GraphWriter

DataType: TypeAlias = Literal["int8", "uint8", "float32"]
Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float32]]"

_PIXEL_SCALE = 1 / 255
_LOGIT_SCALE = 0.25


@dataclass(frozen=True)
class TinyModel:
    """What to build; ``layers`` repeats a harmless averaging layer to make a model slow."""

    side: int = 16
    classes: int = 2
    data_type: DataType = "int8"
    weights: tuple[tuple[float, float, float], ...] = ()
    channels: int = 3
    batch: int = 1
    input_scale: float = _PIXEL_SCALE
    layers: int = 1

    def like(self, **changes: Any) -> TinyModel:
        """This model with some things different."""
        return replace(self, **changes)

    def build(self) -> bytes:
        """The flatbuffer."""
        return _Graph(self).build()


def reversed_colours(**changes: Any) -> TinyModel:
    """Answers class 1 to red and class 0 to green: tells one release's answers from another's."""
    return TinyModel(weights=((0, 12, 0), (12, 0, 0)), **changes)


class _Graph:
    def __init__(self, model: TinyModel) -> None:
        self.model = model
        self.graph = GraphWriter()

    def build(self) -> bytes:
        model = self.model
        picture = self._activation([model.batch, model.side, model.side, model.channels])
        current = picture
        for _ in range(model.layers - 1):
            current = self._same_size_average(current)
        average = self._activation([model.batch, 1, 1, model.channels])
        self._pool(current, average, model.side, schema.Padding.VALID)
        logits = self._logits(average)
        scores = self._scores(logits)
        return self.graph.pack(picture, scores, "tiny")

    def _weights(self) -> Floats:
        given = self.model.weights or tuple(
            (12.0 * (k == 0), 12.0 * (k == 1), 12.0 * (k == 2)) for k in range(self.model.classes)
        )
        return np.asarray(given, np.float32)[:, : self.model.channels]

    def _activation(self, shape: list[int]) -> int:
        kind = self.model.data_type
        if kind == "float32":
            return self.graph.tensor(shape, kind)
        zero = -128 if kind == "int8" else 0
        return self.graph.tensor(shape, kind, scale=self.model.input_scale, zero_point=zero)

    def _same_size_average(self, source: int) -> int:
        side, model = self.model.side, self.model
        target = self._activation([model.batch, side, side, model.channels])
        self._pool(source, target, 3, schema.Padding.SAME)
        return target

    def _pool(self, source: int, target: int, size: int, padding: int) -> None:
        options = schema.Pool2DOptionsT()
        options.padding = padding
        options.strideH = options.strideW = 1
        options.filterHeight = options.filterWidth = size
        code = schema.BuiltinOperator.AVERAGE_POOL_2D
        self.graph.operator(code, 2, [source], target, options)

    def _logits(self, average: int) -> int:
        weights, kind = self._weights(), self.model.data_type
        classes = len(weights)
        if kind == "float32":
            matrix = self.graph.tensor(list(weights.shape), kind, weights)
            bias = self.graph.tensor([classes], kind, np.zeros(classes, np.float32))
            logits = self.graph.tensor([self.model.batch, classes], kind)
        else:
            scale = float(max(np.abs(weights).max(), 1e-3)) / 127
            zero = 0 if kind == "int8" else 128
            quantized = (np.round(weights / scale) + zero).astype(kind)
            matrix = self.graph.tensor(list(weights.shape), kind, quantized, scale, zero)
            bias_scale = scale * self.model.input_scale
            bias = self.graph.tensor([classes], "int32", np.zeros(classes, np.int32), bias_scale)
            middle = 0 if kind == "int8" else 128
            logits = self.graph.tensor(
                [self.model.batch, classes], kind, scale=_LOGIT_SCALE, zero_point=middle
            )
        code, version = schema.BuiltinOperator.FULLY_CONNECTED, 4 if kind == "int8" else 1
        inputs = [average, matrix, bias]
        self.graph.operator(code, version, inputs, logits, schema.FullyConnectedOptionsT())
        return logits

    def _scores(self, logits: int) -> int:
        kind = self.model.data_type
        shape = [self.model.batch, len(self._weights())]
        if kind == "float32":
            scores = self.graph.tensor(shape, kind)
        else:
            scores = self.graph.tensor(
                shape, kind, scale=1 / 256, zero_point=-128 if kind == "int8" else 0
            )
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        self.graph.operator(schema.BuiltinOperator.SOFTMAX, 2, [logits], scores, options)
        return scores
