"""A larger classifier than the demo's: MobileNetV1 with random weights, made on the spot.

What it answers means nothing; it takes as long as a trained one, which is what a benchmark needs.
"""

from __future__ import annotations

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from bench.support.tflite_graph import GraphWriter

SIDE = 224
_WIDTH = 0.5
# Output channels at full width and stride of each depthwise separable block.
_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)


def mobilenet(seed: int, classes: int = 2) -> bytes:
    """A float32 ``.tflite`` file of 3.3 MB; another seed gives other weights."""
    return _MobileNet(seed).build(classes)


class _MobileNet:
    def __init__(self, seed: int) -> None:
        self._graph = GraphWriter()
        self._dice = np.random.default_rng(seed)
        self._side = SIDE
        self._channels = 3

    def build(self, classes: int) -> bytes:
        picture = self._activation()
        current = self._convolution(picture, int(32 * _WIDTH), side=3, stride=2)
        for channels, stride in _BLOCKS:
            current = self._depthwise(current, stride)
            current = self._convolution(current, int(channels * _WIDTH), side=1, stride=1)
        scores = self._scores(self._averaged(current), classes)
        return self._graph.pack(picture, scores, f"MobileNetV1 {_WIDTH}, random weights")

    def _activation(self) -> int:
        return self._graph.tensor([1, self._side, self._side, self._channels], "float32")

    def _convolution(self, source: int, channels: int, *, side: int, stride: int) -> int:
        options = schema.Conv2DOptionsT()
        options.padding = schema.Padding.SAME
        options.strideH = options.strideW = stride
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
        weights = self._weights([channels, side, side, self._channels], side**2 * self._channels)
        self._channels, self._side = channels, -(-self._side // stride)
        inputs, target = [source, weights, self._zeros(channels)], self._activation()
        self._graph.operator(schema.BuiltinOperator.CONV_2D, 1, inputs, target, options)
        return target

    def _depthwise(self, source: int, stride: int) -> int:
        options = schema.DepthwiseConv2DOptionsT()
        options.padding, options.depthMultiplier = schema.Padding.SAME, 1
        options.strideH = options.strideW = stride
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
        weights = self._weights([1, 3, 3, self._channels], 9)
        self._side = -(-self._side // stride)
        inputs, target = [source, weights, self._zeros(self._channels)], self._activation()
        self._graph.operator(schema.BuiltinOperator.DEPTHWISE_CONV_2D, 1, inputs, target, options)
        return target

    def _averaged(self, source: int) -> int:
        options = schema.Pool2DOptionsT()
        options.padding = schema.Padding.VALID
        options.strideH = options.strideW = 1
        options.filterHeight = options.filterWidth = self._side
        self._side = 1
        target = self._activation()
        self._graph.operator(schema.BuiltinOperator.AVERAGE_POOL_2D, 1, [source], target, options)
        return target

    def _scores(self, source: int, classes: int) -> int:
        weights = self._weights([classes, self._channels], self._channels)
        inputs = [source, weights, self._zeros(classes)]
        logits = self._graph.tensor([1, classes], "float32")
        code = schema.BuiltinOperator.FULLY_CONNECTED
        self._graph.operator(code, 1, inputs, logits, schema.FullyConnectedOptionsT())
        scores = self._graph.tensor([1, classes], "float32")
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        self._graph.operator(schema.BuiltinOperator.SOFTMAX, 1, [logits], scores, options)
        return scores

    def _weights(self, shape: list[int], inputs: int) -> int:
        # He's scale: values neither vanish nor saturate, so that no layer is cheap by accident.
        values: NDArray[np.float32] = self._dice.standard_normal(shape).astype(np.float32)
        return self._graph.tensor(shape, "float32", values * np.float32(math.sqrt(2 / inputs)))

    def _zeros(self, count: int) -> int:
        return self._graph.tensor([count], "float32", np.zeros(count, np.float32))
