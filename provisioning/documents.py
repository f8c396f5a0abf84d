"""What documents have in common that devices and clouds wrote (docs/telemetry.md)."""

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


def first_fault(error: ValidationError, whole: str = "document") -> str:
    """What is wrong with a document and where, without its content: that may be secret, or long.

    ``whole`` is what the document itself is called.
    """
    first = error.errors(include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or whole
    return f"{place}: {first['msg']}"
