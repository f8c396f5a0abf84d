"""The ``[telemetry]`` section of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator


class TelemetrySettings(BaseModel):
    """What is reported about inference and the device, and how much of it may wait."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metrics_seconds: float = Field(
        60.0,
        ge=0,
        le=86400,
        description="How often the figures of the interval are sent, at most once a second; 0 for "
        "never. A document is about 1 KB: one a minute is 1.4 MB a day over the air.",
    )
    queue_bytes: int = Field(
        8 << 20,
        ge=64 << 10,
        description="Disk space for what waits for the link; the oldest goes first. 8 MiB are "
        "about five days without a link at one document a minute.",
    )

    @field_validator("metrics_seconds")
    @classmethod
    def _slow_enough(cls, seconds: float) -> float:
        if 0 < seconds < 1:
            raise ValueError("once a second is the most; 0 turns metrics off")
        return seconds
