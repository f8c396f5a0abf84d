"""The keys of ``[update]`` that say what proves a release."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from states.proof import ProofLimits

_DEFAULT = ProofLimits()


class ProofSettings(BaseModel):
    """What a candidate must reach before it serves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trial_seconds: float = Field(60.0, gt=0, description="Longest trial load of a model.")
    latency_budget_ms: float = Field(
        _DEFAULT.latency_budget_ms,
        ge=0,
        description="Most a picture may take on this device, preprocessing included; 0 for no "
        "limit. A release's model.json may set a lower one.",
    )
    latency_ratio: float = Field(
        _DEFAULT.latency_ratio,
        ge=0,
        description="Times as slow as the active release a candidate may be; 0 for any. Twenty "
        "milliseconds more are always allowed, so that small models are never refused for noise.",
    )
    golden_set: Path | None = Field(
        None,
        description="Folder of labelled pictures (sub-folder = label) for releases that bring no "
        "golden set of their own.",
    )
    golden_minimum_accuracy: float = Field(
        _DEFAULT.golden_minimum_accuracy,
        ge=0,
        le=1,
        description="Share of the golden set that must be answered rightly. Half: pictures chosen "
        "as an example should not be wrong more often than right; raise it to what you expect.",
    )
    golden_margin: float = Field(
        _DEFAULT.golden_margin,
        ge=0,
        le=1,
        description="By how much a candidate may be less accurate than the active release on the "
        "same pictures; one picture is always allowed.",
    )
    golden_pictures: int = Field(
        200,
        ge=1,
        le=10_000,
        description="Most pictures of a golden set that are classified: always the same ones, "
        "evenly from all labels.",
    )
    golden_seconds: float = Field(
        60.0,
        gt=0,
        description="Time for them; what a slow model has not classified by then does not count.",
    )

    def proof_limits(self) -> ProofLimits:
        """For the decision."""
        return ProofLimits(
            latency_budget_ms=self.latency_budget_ms,
            latency_ratio=self.latency_ratio,
            golden_minimum_accuracy=self.golden_minimum_accuracy,
            golden_margin=self.golden_margin,
        )
