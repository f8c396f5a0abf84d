"""The keys of ``[update]`` that say what a new release must show in its commit window."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from states.policy import WindowLimits


class WindowSettings(BaseModel):
    """Thresholds of the commit window; see ``edgeferry explain`` for what a release showed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_frames: int = Field(
        300,
        ge=1,
        description="Pictures the new release must classify: 10 s at 30/s. A share of 300 is known "
        "to 3 points, and no camera's scene is judged by a single moment.",
    )
    window_seconds: float = Field(
        600.0, gt=0, description="Longest commit window; slow cameras are judged by what they gave."
    )
    window_least_frames: int = Field(
        30,
        ge=1,
        description="Pictures below which nothing is compared, and which a window that ran out of "
        "time must have: with fewer, chance alone makes good models differ.",
    )
    window_errors: int = Field(
        0,
        ge=0,
        description="Engine failures it may have: crashes, hangs, NaN. A proven model has none.",
    )
    window_restarts: int = Field(
        2,
        ge=0,
        description="Restarts of the worker within a window: one may be a person's or a power cut, "
        "three are the model's.",
    )
    window_latency_ratio: float = Field(
        3.0,
        gt=1,
        description="How many times slower than the release before, in p50 and in p95, at most. "
        "Below that a larger model may be wanted; the budget for a model is proved in its trial.",
    )
    window_latency_slack_ms: float = Field(
        20.0,
        ge=0,
        description="Milliseconds slower that never count: a busy machine costs quick models as "
        "much.",
    )
    window_dropped_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of frames it may drop beyond what the release before dropped; counts "
        "only for a release that is slower, for another is not the cause.",
    )
    window_confidence_drop: float = Field(
        0.3,
        ge=0,
        le=1,
        description="How far its mean confidence may lie below; retraining moves it by 0.1 or 0.2.",
    )
    window_dominant_share: float = Field(
        0.98,
        gt=0,
        le=1,
        description="Share of one class at which a release counts as collapsed, if the release "
        "before saw that class less often. A collapsed model gives it all but always.",
    )
    window_varied_share: float = Field(
        0.8,
        gt=0,
        le=1,
        description="The scene tells something while the release before gives no class more than "
        "this share; a camera that sees one thing makes any two releases look far apart.",
    )
    window_scene_changes: int = Field(
        6,
        ge=0,
        description="Times the release before must change its answer for the scene to tell "
        "something: one person who stays for the whole window is one case, not 300.",
    )
    window_agreement: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Least agreement on the same pictures. Labels out of order leave almost none; "
        "0 turns the check off, as for a release before that was mostly wrong.",
    )
    window_class_shift: float = Field(
        0.6,
        ge=0,
        le=1,
        description="Share of answers that may move to other classes (total variation).",
    )

    def window_limits(self) -> WindowLimits:
        """As the law takes them."""
        values = WindowSettings.model_fields
        return WindowLimits(
            **{name.removeprefix("window_"): getattr(self, name) for name in values}
        )
