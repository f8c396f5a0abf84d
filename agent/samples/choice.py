"""Which results are worth keeping their picture for."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from agent.samples.settings import SampleChoice


class Why(StrEnum):
    """Why a picture was kept."""

    LOW_CONFIDENCE = "low-confidence"
    NEAR_THRESHOLD = "near-threshold"
    AUDIT = "audit"


class Chooser:
    """Chooses by confidence and chance, with a pause after each choice for that reason."""

    def __init__(self, settings: SampleChoice, chance: Callable[[], float]) -> None:
        """``chance`` gives numbers from 0 to below 1."""
        self._settings = settings
        self._chance = chance
        self._chosen_at: dict[Why, float] = {}

    def choose(self, confidence: float, now: float) -> Why | None:
        """Why to keep the picture with that best score, if at all; ``now`` in seconds."""
        why = self._reason(confidence)
        if why is None:
            return None
        last = self._chosen_at.get(why)
        if last is not None and now - last < self._settings.cooldown_seconds:
            return None
        self._chosen_at[why] = now
        return why

    def _reason(self, confidence: float) -> Why | None:
        settings = self._settings
        if confidence < settings.below:
            return Why.LOW_CONFIDENCE
        if settings.near is not None and abs(confidence - settings.near) <= settings.within:
            return Why.NEAR_THRESHOLD
        return Why.AUDIT if self._chance() < settings.audit_share else None
