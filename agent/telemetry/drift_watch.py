"""Follows every release's drift from one interval to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agent.telemetry.counts import Counts
from agent.telemetry.drift import LEAST_FRAMES, Drift, Picture, drift


@dataclass(frozen=True)
class Followed:
    """A release's baseline as far as it goes, and the frames that were not compared with it yet."""

    baseline: Picture = field(default_factory=Picture)
    waiting: Picture = field(default_factory=Picture)
    drift: Drift | None = None
    """Of the newest interval, with those before that had too few frames of their own."""

    def after(self, counts: Counts, seconds: float) -> Followed:
        """The same one interval later."""
        if not self.baseline.is_baseline:
            return Followed(self.baseline.plus(counts, seconds))
        seen = self.waiting.plus(counts, seconds)
        measured = drift(self.baseline, seen)
        return Followed(self.baseline, seen if seen.frames < LEAST_FRAMES else Picture(), measured)


class DriftWatch:
    """The releases followed. ``stored`` gives what the journal holds of a release's baseline."""

    def __init__(self, stored: Callable[[str], str | None]) -> None:
        self._stored = stored
        self._followed: dict[str, Followed] = {}

    def of(self, release: str) -> Followed:
        """Where a release stands."""
        if release not in self._followed:
            text = self._stored(release)
            baseline = Picture.model_validate_json(text) if text else Picture()
            self._followed[release] = Followed(baseline)
        return self._followed[release]

    def go_on(self, release: str, followed: Followed) -> None:
        """Follow it from there; for when the journal has it."""
        self._followed[release] = followed
