"""The last layer of an int8 ``.tflite`` classifier, read and written where it stands in the file.

Everything before it stays as it was, byte for byte: a device that holds the release before fetches
a patch of about a kilobyte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

Array = NDArray[Any]

_LEAST_SCALE = 1e-8
# Scores of pictures yet unseen may be a little beyond those seen in training.
_HEADROOM = 1.25


class UnsuitableModel(Exception):  # noqa: N818 - reads as what it is
    """The model does not end in a dense layer with int8 weights and a softmax."""


@dataclass(frozen=True)
class Head:
    """A dense layer: ``logits = features @ weights.T + bias``.

    ``weights`` is float64 ``[classes, features]``, ``bias`` float64 ``[classes]``.
    """

    weights: Array
    bias: Array

    def logits(self, features: Array) -> Array:
        """Float64 ``[pictures, classes]`` of features ``[pictures, features]``."""
        return np.asarray(features @ self.weights.T + self.bias)


def read_head(model: bytes) -> Head:
    """The last layer as numbers. Raises UnsuitableModel."""
    layer = _LastLayer(bytearray(model))
    return Head(layer.weights * layer.weight_scales[:, None], layer.bias * layer.bias_scales)


def without_head(model: bytes) -> bytes:
    """The same model, except that it answers what its last layer is given. Raises UnsuitableModel.

    The tensor is still int8; its scale and zero point are in the interpreter's output details.
    """
    layer = _LastLayer(bytearray(model))
    layer.outputs[0] = layer.features
    return bytes(layer.content)


def with_head(model: bytes, head: Head, logits: Array) -> bytes:
    """The same model with another last layer of the same size. Raises UnsuitableModel.

    ``logits`` are what ``head`` gives for pictures of every kind: their range fixes the scale.
    """
    layer = _LastLayer(bytearray(model))
    # One scale for all rows, or one for each: as the model has it, for a runtime may know one only.
    per_row = len(layer.weight_scale) > 1
    peaks = np.abs(head.weights).max(axis=1 if per_row else None)
    layer.weight_scale[:] = np.maximum(peaks / 127, _LEAST_SCALE)
    layer.weights[:] = np.rint(head.weights / layer.weight_scales[:, None])
    layer.bias_scale[:] = layer.weight_scale * layer.feature_scale
    layer.bias[:] = np.rint(head.bias / layer.bias_scales)
    low, high = _HEADROOM * min(logits.min(), 0), _HEADROOM * max(logits.max(), 0)
    layer.logit_scale[0] = max((high - low) / 255, _LEAST_SCALE)
    layer.logit_zero_point[0] = np.rint(-128 - low / layer.logit_scale[0])
    return bytes(layer.content)


class _LastLayer:
    """Views into ``content``: what is assigned to their elements is in the file."""

    def __init__(self, content: bytearray) -> None:
        self.content = content
        self._model = schema.Model.GetRootAs(content)
        self._graph = self._model.Subgraphs(0)
        dense = self._dense_before_softmax()
        self.features, weights, bias = (int(index) for index in dense.InputsAsNumpy())
        self.outputs = self._graph.OutputsAsNumpy()
        shape = self._graph.Tensors(weights).ShapeAsNumpy()
        self.weights = self._values(weights, np.int8).reshape(shape)
        self.bias = self._values(bias, np.int32)
        self.weight_scale, self.bias_scale = self._scale(weights), self._scale(bias)
        self.feature_scale = self._scale(self.features)[0]
        logits = dense.Outputs(0)
        self.logit_scale = self._scale(logits)
        self.logit_zero_point = self._graph.Tensors(logits).Quantization().ZeroPointAsNumpy()

    @property
    def weight_scales(self) -> Array:
        """The scale of each row."""
        return np.broadcast_to(self.weight_scale, len(self.bias))

    @property
    def bias_scales(self) -> Array:
        """The scale of each element."""
        return np.broadcast_to(self.bias_scale, len(self.bias))

    def _dense_before_softmax(self) -> Any:
        count = self._graph.OperatorsLength()
        last = [self._graph.Operators(i) for i in range(max(0, count - 2), count)]
        wanted = [schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.SOFTMAX]
        if [self._code(operator) for operator in last] != wanted or last[0].InputsLength() != 3:
            raise UnsuitableModel(
                "the model does not end in a dense layer with a bias and a softmax; "
                "train it with the tools it was made with"
            )
        return last[0]

    def _code(self, operator: Any) -> int:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        return max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))

    def _values(self, tensor: int, data_type: Any) -> Array:
        found = self._graph.Tensors(tensor)
        known = {np.int8: schema.TensorType.INT8, np.int32: schema.TensorType.INT32}
        if found.Type() != known[data_type]:
            raise UnsuitableModel("the model's last layer is not quantized to int8; export it so")
        values: Array = self._model.Buffers(found.Buffer()).DataAsNumpy().view(data_type)
        return values

    def _scale(self, tensor: int) -> Array:
        scale: Array = self._graph.Tensors(tensor).Quantization().ScaleAsNumpy()
        return scale
