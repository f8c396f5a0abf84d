"""The ``[samples]`` section of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SampleChoice(BaseModel):
    """Which pictures are kept for training; may be changed while the worker runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on: bool = Field(
        False, description="Keep pictures of what the camera sees; they may show people."
    )
    below: float = Field(
        0.6, ge=0, le=1, description="Keep pictures whose best score is lower; 0 for none of them."
    )
    near: float | None = Field(
        None, ge=0, le=1, description="A threshold your application decides by, if it has one."
    )
    within: float = Field(
        0.05, ge=0, le=1, description="Keep pictures whose best score is so close to it."
    )
    audit_share: float = Field(
        0.001,
        ge=0,
        le=1,
        description="Share of all other pictures that is kept at random: what the model is sure "
        "of and wrong about shows there alone.",
    )
    cooldown_seconds: float = Field(
        10.0, ge=0, description="Shortest time between two pictures kept for the same reason."
    )


class SampleSettings(SampleChoice):
    """Which pictures are kept for training."""

    quota_bytes: int = Field(
        64 << 20, gt=0, description="Most they take of the disk; the oldest go first."
    )
    jpeg_quality: int = Field(90, ge=1, le=100, description="Quality of the pictures kept.")
    upload: bool = Field(
        False,
        description="Send what is kept to the cloud, within download.windows and never during an "
        "update; what has arrived is deleted here. Off, as above.",
    )
    upload_bytes_per_day: int = Field(
        8 << 20,
        ge=0,
        description="Most that is sent of them from one midnight (UTC) to the next; 0 for no cap. "
        "A picture takes a third more than its file.",
    )

    @property
    def choice(self) -> SampleChoice:
        """The part that may be changed while the worker runs."""
        return SampleChoice(**{name: getattr(self, name) for name in SampleChoice.model_fields})
