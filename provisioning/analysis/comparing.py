"""Which of two releases (or cohorts) does better, said so that nobody has to read the figures.

The intervals of a family (the measures; the shares of classes) hold together: each is widened
(Bonferroni) so that with the confidence asked for *none* of the family misses. A verdict and its
interval therefore never contradict each other, and ten classes don't make one chance find.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from provisioning.analysis.estimates import (
    LEAST_UNITS,
    Interval,
    difference_of_means,
    difference_of_shares,
)
from provisioning.analysis.measures import (
    MEASURES,
    Better,
    Kind,
    Measure,
    Sides,
    class_measures,
    sides_of,
)
from provisioning.metrics import Observation

CONFIDENCE = 0.95


class Verdict(StrEnum):
    """What the figures say of the second side against the first."""

    HIGHER = "higher"
    LOWER = "lower"
    SAME = "no difference"
    UNCLEAR = "too little data"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Difference:
    """One measure on both sides.

    ``interval`` is None where there is too little to estimate one. ``needed`` is about how many
    more ``needed_of`` each side needs before a difference of the measure's margin would show.
    """

    measure: Measure
    sides: Sides
    interval: Interval | None
    verdict: Verdict
    needed: int | None = None
    needed_of: str = ""

    @property
    def better(self) -> str | None:
        """ "a" or "b", where one is better; None where they are equal, or neither way is better."""
        if self.verdict not in (Verdict.HIGHER, Verdict.LOWER):
            return None
        if self.measure.better is Better.NEITHER:
            return None
        return "b" if str(self.verdict) == str(self.measure.better) else "a"


@dataclass(frozen=True)
class Comparison:
    """Two groups of observations, measure by measure, and class by class."""

    measures: tuple[Difference, ...]
    classes: tuple[Difference, ...]
    confidence: float


def compare(
    a: Sequence[Observation], b: Sequence[Observation], confidence: float = CONFIDENCE
) -> Comparison:
    """Compare two groups; the observations of each in the order they were made."""
    return Comparison(
        tuple(_family(MEASURES, a, b, confidence)),
        tuple(_family(class_measures(a, b), a, b, confidence)),
        confidence,
    )


def interval_of(measure: Measure, sides: Sides, confidence: float) -> Interval | None:
    """The difference of the second side from the first; None where there is too little."""
    estimate = difference_of_shares if measure.kind is Kind.SHARE else difference_of_means
    return estimate(sides.a, sides.b, confidence)


def _family(
    measures: Sequence[Measure],
    a: Sequence[Observation],
    b: Sequence[Observation],
    confidence: float,
) -> list[Difference]:
    found = [(measure, sides_of(measure, a, b)) for measure in measures]
    judged = sum(min(len(sides.a), len(sides.b)) >= LEAST_UNITS for _, sides in found)
    each = 1 - (1 - confidence) / max(1, judged)
    return [difference_in(measure, sides, each) for measure, sides in found]


def difference_in(measure: Measure, sides: Sides, confidence: float) -> Difference:
    """The verdict on one measure."""
    interval = interval_of(measure, sides, confidence)
    if interval is None:
        known = sides.a.value is not None and sides.b.value is not None
        return Difference(measure, sides, None, Verdict.UNCLEAR if known else Verdict.UNKNOWN)
    margin = measure.margin_from(sides.a.value)
    if interval.low > 0 or interval.high < 0:
        verdict = Verdict.HIGHER if interval.low > 0 else Verdict.LOWER
        return Difference(measure, sides, interval, verdict)
    if max(-interval.low, interval.high) <= margin:
        return Difference(measure, sides, interval, Verdict.SAME)
    # An interval shrinks with the root of what is seen. More frames of the same devices would not
    # do where it is the devices that differ.
    times = (interval.half_width / margin) ** 2 - 1 if margin else math.inf
    seen = (
        min(len(sides.a), len(sides.b)) if sides.by_device else min(sides.a.frames, sides.b.frames)
    )
    needed = max(1, math.ceil(times * seen)) if math.isfinite(times) else None
    counted = "devices" if sides.by_device else measure.counted
    return Difference(measure, sides, interval, Verdict.UNCLEAR, needed, counted)
