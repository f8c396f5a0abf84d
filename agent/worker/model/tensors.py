"""Pictures to input tensors, output tensors to scores. Pure functions over arrays.

A frame is what OpenCV gives: uint8 ``[height, width, 3]`` in the order blue, green, red.

Every input is made by a table of 256 entries, one for each value a colour channel can have (three
tables where channels are normalized differently): the value is normalized (0..1 unless configured
otherwise) and quantized with the tensor's own scale and zero point. For Edge Impulse's int8 models
(scale 1/255, zero point -128) that is ``pixel - 128``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.worker.choices import DataType, Normalization, PixelRange, Preprocessing, ResizeMode

Picture: TypeAlias = NDArray[np.uint8]
Scores: TypeAlias = NDArray[np.float32]

_RANGES: dict[PixelRange, tuple[float, float]] = {
    "0..1": (1 / 255, 0.0),
    "-1..1": (2 / 255, -1.0),
    "0..255": (1.0, 0.0),
}


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a model. ``scale`` is 0 for float32, which is not quantized."""

    index: int
    shape: tuple[int, ...]
    data_type: DataType
    scale: float = 0.0
    zero_point: int = 0


class Preprocessor:
    """Turns frames into what one input tensor ``[1, height, width, 3]`` takes."""

    def __init__(self, spec: TensorSpec, preprocessing: Preprocessing) -> None:
        self._height, self._width = spec.shape[1], spec.shape[2]
        self._resize = preprocessing.resize
        self._swap_colours = preprocessing.colour_order == "rgb"
        if preprocessing.normalization is not None:
            self._table = channel_table(spec, preprocessing.normalization)
        else:
            self._table = pixel_table(spec, preprocessing.pixel_range)
        self._shift = _byte_shift(self._table)

    def __call__(self, frame: Picture) -> NDArray[Any]:
        """The tensor's value: shape ``[1, height, width, 3]``, the tensor's own dtype."""
        picture = resize(frame, self._width, self._height, self._resize)
        if self._swap_colours:
            picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
        return self._values(np.ascontiguousarray(picture))[np.newaxis]

    def _values(self, picture: Picture) -> NDArray[Any]:
        if self._shift is not None:  # several times faster than the table, and the usual case
            return np.bitwise_xor(picture, self._shift).view(self._table.dtype)
        return np.asarray(cv2.LUT(picture, self._table))


def pixel_table(spec: TensorSpec, pixel_range: PixelRange) -> NDArray[Any]:
    """The tensor's value for each of the 256 values of a colour channel, in the tensor's dtype."""
    factor, offset = _RANGES[pixel_range]
    return _quantized(spec, np.arange(256, dtype=np.float64) * factor + offset)


def channel_table(spec: TensorSpec, normalization: Normalization) -> NDArray[Any]:
    """The same for a normalization, which differs by channel: ``[1, 256, 3]``."""
    pixels = np.arange(256, dtype=np.float64).reshape(1, 256, 1) / 255
    mean, std = np.asarray(normalization.mean), np.asarray(normalization.std)
    return _quantized(spec, (pixels - mean) / std)


def _quantized(spec: TensorSpec, values: NDArray[np.float64]) -> NDArray[Any]:
    if spec.data_type == "float32":
        return values.astype(np.float32)
    limits = np.iinfo(spec.data_type)
    quantized = np.rint(values / spec.scale) + spec.zero_point
    return np.asarray(np.clip(quantized, limits.min, limits.max), spec.data_type)


def _byte_shift(table: NDArray[Any]) -> np.uint8 | None:
    """What to XOR a pixel with instead of using the table, if that gives the same for all 256."""
    if table.dtype.itemsize != 1 or table.ndim != 1:
        return None
    as_bytes, pixels = table.view(np.uint8), np.arange(256, dtype=np.uint8)
    shift = np.uint8(as_bytes[0])
    return shift if bool(np.all(as_bytes == pixels ^ shift)) else None


def resize(frame: Picture, width: int, height: int, mode: ResizeMode) -> Picture:
    """The frame in that size: uint8 ``[height, width, 3]``, colour order unchanged."""
    if mode == "fit-shortest":
        frame = _centre_cut(frame, width, height)
    elif mode == "fit-longest":
        return _with_bars(frame, width, height)
    return _scaled(frame, width, height)


def _scaled(frame: Picture, width: int, height: int) -> Picture:
    rows, columns = frame.shape[:2]
    if (rows, columns) == (height, width):
        return frame
    # The mean of four pixels is several times faster than that of an area which cuts pixels apart,
    # and what is left of the way is the same.
    while rows >= 2 * height and columns >= 2 * width and rows % 2 == columns % 2 == 0:
        rows, columns = rows // 2, columns // 2
        frame = np.asarray(
            cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8
        )
    # Beyond half the size, linear interpolation skips whole pixels and invents patterns.
    shrinks_much = rows > 2 * height or columns > 2 * width
    how = cv2.INTER_AREA if shrinks_much else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), np.uint8)


def _centre_cut(frame: Picture, width: int, height: int) -> Picture:
    rows, columns = frame.shape[:2]
    kept_rows = min(rows, max(1, round(columns * height / width)))
    kept_columns = min(columns, max(1, round(rows * width / height)))
    top, left = (rows - kept_rows) // 2, (columns - kept_columns) // 2
    return frame[top : top + kept_rows, left : left + kept_columns]


def _with_bars(frame: Picture, width: int, height: int) -> Picture:
    rows, columns = frame.shape[:2]
    scale = min(width / columns, height / rows)
    inner_width = min(width, max(1, round(columns * scale)))
    inner_height = min(height, max(1, round(rows * scale)))
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    picture = np.zeros((height, width, 3), np.uint8)
    inner = _scaled(frame, inner_width, inner_height)
    picture[top : top + inner_height, left : left + inner_width] = inner
    return picture


def dequantize(raw: NDArray[Any], spec: TensorSpec) -> Scores:
    """Scores float32 ``[classes]`` of an output tensor's value of any shape."""
    flat = raw.reshape(-1)
    if spec.data_type == "float32":
        return flat.astype(np.float32)
    return ((flat.astype(np.float32) - spec.zero_point) * np.float32(spec.scale)).astype(np.float32)


def top_k(scores: Scores, count: int) -> list[tuple[int, float]]:
    """(index, score) of the highest scores, best first; the lower index wins a tie."""
    order = np.argsort(-scores, kind="stable")[:count]
    return [(int(index), float(scores[index])) for index in order]
