"""Real .tflite models of a few hundred bytes, so that tests drive a real interpreter quickly.

The graph: average each colour channel over the picture, one fully connected layer, softmax.
``weights[k]`` says how much class k likes (red, green, blue), each channel in 0..1. The default
answers class 0 to a red picture, class 1 to a green one, class 2 to a blue one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema

DataType: TypeAlias = Literal["int8", "uint8", "float32"]
Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float32]]"

_TYPES = {
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "float32": schema.TensorType.FLOAT32,
    "int32": schema.TensorType.INT32,
}
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
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]
        self.codes: list[Any] = []
        self.operators: list[Any] = []

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
        return self._pack(picture, scores)

    def _weights(self) -> Floats:
        given = self.model.weights or tuple(
            (12.0 * (k == 0), 12.0 * (k == 1), 12.0 * (k == 2)) for k in range(self.model.classes)
        )
        return np.asarray(given, np.float32)[:, : self.model.channels]

    def _activation(self, shape: list[int]) -> int:
        kind = self.model.data_type
        if kind == "float32":
            return self._tensor(shape, kind)
        zero = -128 if kind == "int8" else 0
        return self._tensor(shape, kind, scale=self.model.input_scale, zero=zero)

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
        operator = schema.BuiltinOperator.AVERAGE_POOL_2D
        kind = schema.BuiltinOptions.Pool2DOptions
        self._operator(operator, 2, [source], [target], kind, options)

    def _logits(self, average: int) -> int:
        weights, kind = self._weights(), self.model.data_type
        classes = len(weights)
        if kind == "float32":
            matrix = self._tensor(list(weights.shape), kind, weights)
            bias = self._tensor([classes], kind, np.zeros(classes, np.float32))
            logits = self._tensor([self.model.batch, classes], kind)
        else:
            scale = float(max(np.abs(weights).max(), 1e-3)) / 127
            zero = 0 if kind == "int8" else 128
            quantized = (np.round(weights / scale) + zero).astype(kind)
            matrix = self._tensor(list(weights.shape), kind, quantized, scale, zero)
            bias_scale = scale * self.model.input_scale
            bias = self._tensor([classes], "int32", np.zeros(classes, np.int32), bias_scale)
            middle = 0 if kind == "int8" else 128
            logits = self._tensor(
                [self.model.batch, classes], kind, scale=_LOGIT_SCALE, zero=middle
            )
        options = schema.FullyConnectedOptionsT()
        version = 4 if kind == "int8" else 1
        self._operator(
            schema.BuiltinOperator.FULLY_CONNECTED,
            version,
            [average, matrix, bias],
            [logits],
            schema.BuiltinOptions.FullyConnectedOptions,
            options,
        )
        return logits

    def _scores(self, logits: int) -> int:
        kind = self.model.data_type
        shape = [self.model.batch, len(self._weights())]
        if kind == "float32":
            scores = self._tensor(shape, kind)
        else:
            scores = self._tensor(shape, kind, scale=1 / 256, zero=-128 if kind == "int8" else 0)
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        operator = schema.BuiltinOperator.SOFTMAX
        kind_of_options = schema.BuiltinOptions.SoftmaxOptions
        self._operator(operator, 2, [logits], [scores], kind_of_options, options)
        return scores

    def _tensor(
        self,
        shape: list[int],
        kind: str,
        data: np.ndarray[Any, Any] | None = None,
        scale: float | None = None,
        zero: int = 0,
    ) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.name = shape, _TYPES[kind], f"t{len(self.tensors)}"
        tensor.buffer = self._buffer(data)
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero]
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _buffer(self, data: np.ndarray[Any, Any] | None) -> int:
        if data is None:
            return 0
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data.tobytes(), np.uint8)
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def _operator(
        self,
        code: int,
        version: int,
        inputs: list[int],
        outputs: list[int],
        options_kind: int,
        options: object,
    ) -> None:
        operator_code = schema.OperatorCodeT()
        operator_code.builtinCode = operator_code.deprecatedBuiltinCode = code
        operator_code.version = version
        self.codes.append(operator_code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes) - 1
        operator.inputs, operator.outputs = inputs, outputs
        operator.builtinOptionsType, operator.builtinOptions = options_kind, options
        self.operators.append(operator)

    def _pack(self, picture: int, scores: int) -> bytes:
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs, graph.name = [picture], [scores], "main"
        model = schema.ModelT()
        model.version, model.description = 3, "tiny"
        model.subgraphs, model.operatorCodes, model.buffers = [graph], self.codes, self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
