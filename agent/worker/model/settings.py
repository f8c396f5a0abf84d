"""``model.json``: what a release says about its own model; wins over the configuration.

::

    {"format": 1,
     "resize": "fit-shortest", "colour_order": "rgb",
     "normalization": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
     "input": {"shape": [1, 224, 224, 3], "type": "int8"},
     "output": {"shape": [1, 1000], "type": "int8"},
     "latency_budget_ms": 50, "allow_duplicate_labels": true}

Every key but ``format`` may be left out. What is declared of a tensor must be so.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.faults import explain
from agent.worker.choices import (
    ColourOrder,
    DataType,
    DeclaredTensor,
    Normalization,
    PixelRange,
    Preprocessing,
    ResizeMode,
)
from states.ports import Rejected
from states.reasons import Rejection

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "model.json"
MAX_BYTES = 64 << 10

Channels = Annotated[
    list[Annotated[float, Field(ge=-1000, le=1000)]], Field(min_length=3, max_length=3)
]
Deviations = Annotated[
    list[Annotated[float, Field(ge=1e-6, le=1000)]], Field(min_length=3, max_length=3)
]
Side = Annotated[int, Field(ge=1, le=1 << 24)]


class _Strict(BaseModel):
    # Strict: "1" is no number and 1 is no text, as whoever wrote the file will want to know.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NormalizationEntry(_Strict):
    """Of channels as 0..1, in the model's colour order: ``(value - mean) / std``."""

    mean: Channels
    std: Deviations


class TensorEntry(_Strict):
    """What is declared of a tensor; ``scale`` and ``zero_point`` are its quantization."""

    shape: Annotated[list[Side], Field(min_length=1, max_length=8)] | None = None
    type: DataType | None = None
    scale: Annotated[float, Field(gt=0, le=1e6)] | None = None
    zero_point: Annotated[int, Field(ge=-128, le=255)] | None = None

    def declared(self) -> DeclaredTensor:
        """As plain data."""
        shape = tuple(self.shape) if self.shape else None
        return DeclaredTensor(shape, self.type, self.scale, self.zero_point)


class ModelSettings(_Strict):
    """The whole file."""

    format: Literal[1]
    resize: ResizeMode | None = None
    colour_order: ColourOrder | None = None
    pixel_range: PixelRange | None = None
    normalization: NormalizationEntry | None = None
    input: TensorEntry = TensorEntry()
    output: TensorEntry = TensorEntry()
    latency_budget_ms: Annotated[float, Field(gt=0, le=1e6)] | None = None
    allow_duplicate_labels: bool = False

    @model_validator(mode="after")
    def _one_scaling(self) -> ModelSettings:
        if self.pixel_range is not None and self.normalization is not None:
            raise ValueError("pixel_range and normalization say the same thing; keep one of them")
        return self

    def preprocessing(self, configured: Preprocessing) -> Preprocessing:
        """The configured preprocessing, with what this file says instead."""
        given = {
            name: value
            for name in ("resize", "colour_order", "pixel_range")
            if (value := getattr(self, name)) is not None
        }
        if self.normalization is not None:
            mean, std = self.normalization.mean, self.normalization.std
            given["normalization"] = Normalization(tuple(mean), tuple(std))
        elif self.pixel_range is not None:
            given["normalization"] = None
        return replace(configured, **given)


def read_model_settings(path: Path) -> ModelSettings:
    """The settings in that file.

    Raises Rejected(MODEL_SETTINGS_INVALID) naming the key, OSError when it can't be read.
    """
    with path.open("rb") as file:
        return parse_model_settings(file.read(MAX_BYTES + 1))


def parse_model_settings(content: bytes) -> ModelSettings:
    """See :func:`read_model_settings`."""
    if len(content) > MAX_BYTES:
        raise _invalid(f"{FILE_NAME} has more than {MAX_BYTES} bytes")
    try:
        document = json.loads(
            content.decode("utf-8-sig"),
            object_pairs_hook=_without_repetition,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError) as error:
        raise _invalid(f"{FILE_NAME} is no JSON: {str(error)[:200]}") from error
    try:
        return ModelSettings.model_validate(document)
    except ValidationError as faults:
        raise _invalid("; ".join(explain(FILE_NAME, ModelSettings, faults))[:1000]) from faults


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a key is there twice")
    return document


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _invalid(detail: str) -> Rejected:
    return Rejected(Rejection.MODEL_SETTINGS_INVALID, detail)
