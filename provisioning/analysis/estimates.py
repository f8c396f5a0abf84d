"""Differences of two shares or means with confidence intervals, from figures in clusters.

Frames of one device are not independent: they show one scene, one light, one lens. So nothing here
counts frames as evidence. A side is a set of *units* (devices, or stretches of time of one device),
each with the frames it has and the sum of a figure over them. The estimate is the ratio of the two
totals, and its variance that of a ratio over clusters, by linearisation (Cochran, Sampling
Techniques, 3rd ed., section 6; the same as cluster-robust standard errors with k/(k-1)).

* Means: the difference with Student's t, its degrees of freedom by Welch and Satterthwaite. With
  as many frames in each unit this is Welch's t-test of the units' means.
* Shares: Newcombe's interval for a difference (Statistics in Medicine 17 (1998), 873-890, method
  10) out of two Wilson intervals, each over its *effective* number of frames: those that as many
  independent ones would tell as much, reduced for few units by (z/t) squared (Korn and Graubard,
  Survey Methodology 24 (1998), 193-201).
* Units that are on both sides, as when the same devices ran both releases, are pairs: what the
  device itself contributes cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from scipy.special import ndtri, stdtrit

LEAST_UNITS = 2


@dataclass(frozen=True)
class Unit:
    """One unit's frames (or pictures), and the figure's sum over them."""

    frames: float
    total: float


@dataclass(frozen=True)
class Interval:
    """A difference, and where it lies with the confidence asked for."""

    difference: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval's length."""
        return (self.high - self.low) / 2


class Side:
    """One side of a comparison: its units by name, those without frames left out."""

    def __init__(self, units: Mapping[Hashable, Unit]) -> None:
        self.units = {name: unit for name, unit in units.items() if unit.frames > 0}
        self.frames = sum(unit.frames for unit in self.units.values())
        total = sum(unit.total for unit in self.units.values())
        self.value = total / self.frames if self.frames else None

    def __len__(self) -> int:
        return len(self.units)

    @property
    def residuals(self) -> dict[Hashable, float]:
        """What each unit contributes to the estimate's error, in the estimate's scale.

        Their squares add up to its variance: the factor k/(k-1) is in them.
        """
        value, units = self.value or 0.0, len(self.units)
        correction = math.sqrt(units / (units - 1)) / self.frames
        return {
            name: correction * (unit.total - value * unit.frames)
            for name, unit in self.units.items()
        }


def difference_of_means(a: Side, b: Side, confidence: float) -> Interval | None:
    """``b`` minus ``a``; None when a side has fewer than LEAST_UNITS units."""
    if min(len(a), len(b)) < LEAST_UNITS or a.value is None or b.value is None:
        return None
    difference = b.value - a.value
    margin = _student_margin(a, b, confidence)
    return Interval(difference, difference - margin, difference + margin)


def difference_of_shares(a: Side, b: Side, confidence: float) -> Interval | None:
    """``b`` minus ``a``, of shares from 0 to 1; None when a side has fewer than LEAST_UNITS units.

    Never narrower than if all frames were independent.
    """
    if min(len(a), len(b)) < LEAST_UNITS or a.value is None or b.value is None:
        return None
    if not a.units.keys() & b.units.keys():
        sizes = (effective_frames(side, confidence) for side in (a, b))
        return newcombe(a.value, next(sizes), b.value, next(sizes), confidence)
    margin = _student_margin(a, b, confidence)
    least = newcombe(a.value, a.frames, b.value, b.frames, confidence)
    difference = least.difference
    low = max(-1.0, min(least.low, difference - margin))
    return Interval(difference, low, min(1.0, max(least.high, difference + margin)))


def effective_frames(side: Side, confidence: float) -> float:
    """As many independent frames would tell as much about a share as this side's units do."""
    value = side.value or 0.0
    variance = sum(part**2 for part in side.residuals.values())
    frames = side.frames
    if variance > 0 and 0 < value < 1:
        frames = min(frames, value * (1 - value) / variance)
    upper = (1 + confidence) / 2
    return frames * float(ndtri(upper) / stdtrit(len(side) - 1, upper)) ** 2


def wilson(share: float, frames: float, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share of ``frames`` independent frames."""
    z = float(ndtri((1 + confidence) / 2))
    weight = z * z / frames
    centre = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(share * (1 - share) / frames + weight / frames / 4)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def newcombe(
    share_a: float, frames_a: float, share_b: float, frames_b: float, confidence: float
) -> Interval:
    """Newcombe's hybrid score interval (method 10) of ``share_b`` minus ``share_a``."""
    low_a, high_a = wilson(share_a, frames_a, confidence)
    low_b, high_b = wilson(share_b, frames_b, confidence)
    difference = share_b - share_a
    return Interval(
        difference,
        difference - math.hypot(share_b - low_b, high_a - share_a),
        difference + math.hypot(high_b - share_b, share_a - low_a),
    )


def _student_margin(a: Side, b: Side, confidence: float) -> float:
    of_a, of_b = a.residuals, b.residuals
    pairs = of_a.keys() & of_b.keys()
    variances = [sum(part**2 for part in side.values()) for side in (of_a, of_b)]
    shared = sum(of_a[name] * of_b[name] for name in pairs)
    variance = max(0.0, sum(variances) - 2 * shared)
    if variance == 0:
        return 0.0
    degrees = min(len(a), len(b)) - 1.0
    if not pairs:
        parts = (v**2 / (len(side) - 1) for v, side in zip(variances, (a, b), strict=True))
        degrees = sum(variances) ** 2 / sum(parts)
    return float(stdtrit(degrees, (1 + confidence) / 2)) * math.sqrt(variance)
