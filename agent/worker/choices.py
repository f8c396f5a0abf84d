"""The choices a configuration can make about the worker; cheap to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

RuntimeName: TypeAlias = Literal["auto", "ai-edge-litert", "tflite-runtime"]
ResizeMode: TypeAlias = Literal["squash", "fit-shortest", "fit-longest"]
ColourOrder: TypeAlias = Literal["rgb", "bgr"]
PixelRange: TypeAlias = Literal["0..1", "-1..1", "0..255"]
DataType: TypeAlias = Literal["int8", "uint8", "float32"]
PictureOrder: TypeAlias = Literal["sorted", "shuffled"]


@dataclass(frozen=True)
class Normalization:
    """What training did to each channel as 0..1: ``(value - mean) / std``.

    Three numbers each, in the order of the model's colours.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Preprocessing:
    """How pictures were prepared when the model was trained.

    ``normalization`` takes the place of ``pixel_range`` where there is one.
    """

    resize: ResizeMode = "squash"
    colour_order: ColourOrder = "rgb"
    pixel_range: PixelRange = "0..1"
    normalization: Normalization | None = None

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Preprocessing:
        """What :func:`dataclasses.asdict` made of one, after a way through JSON."""
        given = document["normalization"]
        normalization = given and Normalization(tuple(given["mean"]), tuple(given["std"]))
        return cls(**{**document, "normalization": normalization})


@dataclass(frozen=True)
class DeclaredTensor:
    """What a release says of a tensor of its model; None where it says nothing."""

    shape: tuple[int, ...] | None = None
    data_type: DataType | None = None
    scale: float | None = None
    zero_point: int | None = None
