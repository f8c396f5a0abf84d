"""The choices a configuration can make about the worker; cheap to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent.worker.errors import SourceError

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


@dataclass(frozen=True)
class SourceAddress:
    """``camera:N``, ``video:PATH``, ``dir:PATH`` or ``synthetic:``."""

    kind: Literal["camera", "video", "dir", "synthetic"]
    target: str

    @classmethod
    def parse(cls, text: str) -> SourceAddress:
        """Raises SourceError, listing what is known."""
        kind, _, target = text.partition(":")
        if kind == "camera" and target.isdecimal():
            return cls("camera", target)
        if kind == "video" and target:
            return cls("video", target)
        if kind == "dir" and target:
            return cls("dir", target)
        if text == "synthetic:":
            return cls("synthetic", "")
        raise SourceError(f"'{text}' is no source: camera:N, video:PATH, dir:PATH or synthetic:")

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}"
