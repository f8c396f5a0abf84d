"""The choices a configuration can make about the worker; cheap to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

RuntimeName: TypeAlias = Literal["auto", "ai-edge-litert", "tflite-runtime"]
ResizeMode: TypeAlias = Literal["squash", "fit-shortest", "fit-longest"]
ColourOrder: TypeAlias = Literal["rgb", "bgr"]
PixelRange: TypeAlias = Literal["0..1", "-1..1", "0..255"]
PictureOrder: TypeAlias = Literal["sorted", "shuffled"]


@dataclass(frozen=True)
class Preprocessing:
    """How pictures were prepared when the model was trained."""

    resize: ResizeMode = "squash"
    colour_order: ColourOrder = "rgb"
    pixel_range: PixelRange = "0..1"
