"""Whether a release still sees what it saw in its first hour on this device.

The population stability index compares two distributions over the same bins:
``sum((q - p) * ln(q / p))``; below 0.1 nothing has changed, above 0.25 a lot has (Siddiqi, Credit
Risk Scorecards, 2006). An empty bin would make it infinite, so half a frame is added to every bin
of both sides (Krichevsky and Trofimov, 1981: the estimate with Jeffreys' prior).

By chance alone it comes out near ``(bins - 1) * (1/n + 1/m)``, and seldom above
``chi2(bins - 1) * (1/n + 1/m)`` (Yurdakul and Naranjo, Journal of Risk Model Validation, 2020):
with 21 bins and 400 frames that is 0.08, so fewer frames say nothing.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from agent.telemetry.counts import Counts, Histogram

BASELINE_SECONDS = 3600.0
LEAST_FRAMES = 400
CLASSES = 20
"""Most frequent classes that are told apart; the rest are one bin."""
_SMOOTHING = 0.5


@dataclass(frozen=True)
class Drift:
    """The index of the confidence, of the classes, and the frames it was taken from."""

    confidence: float
    classes: float
    frames: int

    @property
    def psi(self) -> float:
        """The larger one."""
        return max(self.confidence, self.classes)


class Picture(BaseModel):
    """What a release showed: how sure it was, and of what. Kept in the journal."""

    model_config = ConfigDict(frozen=True)

    seconds: float = 0.0
    histogram: Histogram = (0,) * 10
    classes: dict[str, int] = {}

    @property
    def frames(self) -> int:
        """Classified ones."""
        return sum(self.histogram)

    @property
    def is_baseline(self) -> bool:
        """Whether it holds an hour, and enough frames to compare with."""
        return self.seconds >= BASELINE_SECONDS and self.frames >= LEAST_FRAMES

    def plus(self, counts: Counts, seconds: float) -> Picture:
        """With what it showed in so many more seconds."""
        return Picture(
            seconds=self.seconds + seconds,
            histogram=tuple(map(operator.add, self.histogram, counts.confidence.histogram)),
            classes=dict(Counter(self.classes) + Counter(counts.classes)),
        )


def drift(baseline: Picture, seen: Picture) -> Drift | None:
    """How far ``seen`` is from the baseline; None while either has too few frames."""
    if not baseline.is_baseline or seen.frames < LEAST_FRAMES:
        return None
    names = [name for name, _ in Counter(baseline.classes).most_common(CLASSES)]
    return Drift(
        stability_index(baseline.histogram, seen.histogram),
        stability_index(_binned(baseline.classes, names), _binned(seen.classes, names)),
        seen.frames,
    )


def stability_index(expected: Sequence[int], observed: Sequence[int]) -> float:
    """The population stability index of two counts over the same bins."""
    index = 0.0
    for p, q in zip(_shares(expected), _shares(observed), strict=True):
        index += (q - p) * math.log(q / p)
    return index


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + _SMOOTHING * len(counts)
    return [(count + _SMOOTHING) / total for count in counts]


def _binned(classes: Mapping[str, int], names: Sequence[str]) -> list[int]:
    told_apart = [classes.get(name, 0) for name in names]
    return [*told_apart, sum(classes.values()) - sum(told_apart)]
