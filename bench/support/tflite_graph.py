"""Writes ``.tflite`` files operator by operator, so that models need neither TensorFlow nor space
in the repository.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

DataType: TypeAlias = Literal["int8", "uint8", "int32", "float32"]

_TYPES = {
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int32": schema.TensorType.INT32,
    "float32": schema.TensorType.FLOAT32,
}


class GraphWriter:
    """Tensors are known by the number :meth:`tensor` gives them; operators run in their order."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        # The first buffer is the empty one of all tensors without data.
        self._buffers: list[Any] = [schema.BufferT()]
        self._codes: list[Any] = []
        self._operators: list[Any] = []

    def tensor(
        self,
        shape: list[int],
        data_type: DataType,
        data: NDArray[Any] | None = None,
        scale: float | None = None,
        zero_point: int = 0,
    ) -> int:
        """A tensor; without ``data`` an activation, without ``scale`` one that isn't quantized."""
        tensor = schema.TensorT()
        tensor.shape, tensor.type = shape, _TYPES[data_type]
        tensor.name = f"t{len(self._tensors)}"
        tensor.buffer = self._buffer(data)
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def operator(
        self, code: int, version: int, inputs: list[int], output: int, options: object
    ) -> None:
        """One operator; ``code`` of ``schema.BuiltinOperator``, with that operator's options."""
        operator_code = schema.OperatorCodeT()
        operator_code.builtinCode = operator_code.deprecatedBuiltinCode = code
        operator_code.version = version
        self._codes.append(operator_code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self._codes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        name = type(options).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        operator.builtinOptions = options
        self._operators.append(operator)

    def pack(self, source: int, target: int, description: str) -> bytes:
        """The file, with its one input and its one output."""
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs, graph.name = [source], [target], "main"
        model = schema.ModelT()
        model.version, model.description = 3, description
        model.subgraphs, model.operatorCodes = [graph], self._codes
        model.buffers = self._buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _buffer(self, data: NDArray[Any] | None) -> int:
        if data is None:
            return 0
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data.tobytes(), np.uint8)
        self._buffers.append(buffer)
        return len(self._buffers) - 1
