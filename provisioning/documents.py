"""What documents of the stream have in common (docs/telemetry.md)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator


class Part(BaseModel):
    """A part of a document; unknown fields are ignored, and one that is null is not known."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_unknown(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}


class StreamedDocument(Part):
    """A whole document, of the form this program knows."""

    format: Literal[1]


def first_fault(error: ValidationError) -> str:
    """What is wrong with a document, without its content."""
    first = error.errors(include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "document"
    return f"{place}: {first['msg']}"
