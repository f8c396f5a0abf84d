"""What is compared of releases, and how it is taken from devices' metrics."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from provisioning.analysis.estimates import Side, Unit
from provisioning.metrics import Metrics, Observation, Quantiles

LEAST_DEVICES = 3
"""From here on devices are the units. Of fewer nothing can be said about devices in general, only
about these, over time."""
MOST_STRETCHES = 30
"""Minutes that follow each other show the same scene. In so many stretches each device's time is
cut, which then hardly depend on each other (the method of batch means)."""
MOST_CLASSES = 10
POINTS, SCORE, MILLISECONDS = "points", "score", "ms"


class Kind(StrEnum):
    """How a measure is computed."""

    SHARE = "share"
    MEAN = "mean"


class Better(StrEnum):
    """Which way is the better one, if any."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


Figure = Callable[[Metrics], Unit | None]


@dataclass(frozen=True)
class Measure:
    """One figure: ``unit`` of an interval is None where it says nothing of this measure.

    ``margin`` is the least difference worth a word: of shares and scores absolute, of times
    (``unit`` "ms") a share of the first side's.
    """

    name: str
    kind: Kind
    better: Better
    margin: float
    figure: Figure
    unit: str = POINTS
    counted: str = "frames"

    def margin_from(self, value: float | None) -> float:
        """The margin in the measure's own scale, beside a first side of that ``value``."""
        return self.margin * (value or 0.0) if self.unit == MILLISECONDS else self.margin


def _accuracy(metrics: Metrics) -> Unit:
    return Unit(metrics.labelled.classified, metrics.labelled.correct)


def _confidence(metrics: Metrics) -> Unit | None:
    found = metrics.confidence
    return None if found is None else Unit(metrics.classified, found.sum)


def _errors(metrics: Metrics) -> Unit:
    return Unit(metrics.classified + metrics.errors, metrics.errors)


def _dropped(metrics: Metrics) -> Unit:
    return Unit(metrics.captured, metrics.dropped)


def _quantile(choose: Callable[[Quantiles], float | None]) -> Figure:
    def figure(metrics: Metrics) -> Unit | None:
        value = choose(metrics.latency_ms)
        # Quantiles don't add up: this is their mean over the intervals, by frames.
        return None if value is None else Unit(metrics.classified, value * metrics.classified)

    return figure


ACCURACY = Measure("accuracy", Kind.SHARE, Better.HIGHER, 0.02, _accuracy, counted="pictures")
CONFIDENCE = Measure("confidence", Kind.MEAN, Better.HIGHER, 0.05, _confidence, SCORE)
ERRORS = Measure("errors", Kind.SHARE, Better.LOWER, 0.005, _errors)
DROPPED = Measure("dropped frames", Kind.SHARE, Better.LOWER, 0.01, _dropped)
LATENCY = Measure(
    "latency p50", Kind.MEAN, Better.LOWER, 0.1, _quantile(lambda q: q.p50), MILLISECONDS
)
LATENCY_P95 = Measure(
    "latency p95", Kind.MEAN, Better.LOWER, 0.2, _quantile(lambda q: q.p95), MILLISECONDS
)
MEASURES = (ACCURACY, CONFIDENCE, ERRORS, DROPPED, LATENCY, LATENCY_P95)


def class_measures(*groups: Iterable[Observation]) -> list[Measure]:
    """One measure for the share of each class, the most frequent first, at most MOST_CLASSES."""
    frequent: Counter[str] = Counter()
    for group in groups:
        for observation in group:
            frequent.update(observation.metrics.classes)
    return [_class_measure(label) for label, number in frequent.most_common(MOST_CLASSES) if number]


def _class_measure(label: str) -> Measure:
    def figure(metrics: Metrics) -> Unit:
        return Unit(metrics.classified, metrics.classes.get(label, 0))

    return Measure(label, Kind.SHARE, Better.NEITHER, 0.05, figure)


@dataclass(frozen=True)
class Sides:
    """Both sides of a measure; ``by_device`` where devices are the units, else stretches of time.

    ``pairs`` counts the units that are on both sides.
    """

    a: Side
    b: Side
    by_device: bool
    pairs: int


def sides_of(measure: Measure, a: Sequence[Observation], b: Sequence[Observation]) -> Sides:
    """The units of both sides; devices are units when each side has LEAST_DEVICES or more."""
    by_device = [_devices(measure, group) for group in (a, b)]
    if min(map(len, by_device)) >= LEAST_DEVICES:
        sides = [
            Side({name: _sum(units) for name, units in devices.items()}) for devices in by_device
        ]
        pairs = len(sides[0].units.keys() & sides[1].units.keys())
        return Sides(sides[0], sides[1], by_device=True, pairs=pairs)
    one, other = (
        Side(_stretches(side, devices)) for side, devices in zip("ab", by_device, strict=True)
    )
    return Sides(one, other, by_device=False, pairs=0)


def _devices(measure: Measure, group: Iterable[Observation]) -> dict[str, list[Unit]]:
    """Every device's figures in the order they were measured."""
    found: defaultdict[str, list[Unit]] = defaultdict(list)
    for observation in group:
        unit = measure.figure(observation.metrics)
        if unit is not None and unit.frames > 0:
            found[observation.device].append(unit)
    return dict(found)


def _stretches(side: str, devices: dict[str, list[Unit]]) -> dict[Hashable, Unit]:
    found: dict[Hashable, Unit] = {}
    for device, units in devices.items():
        number = min(len(units), MOST_STRETCHES)
        for i in range(number):
            part = units[i * len(units) // number : (i + 1) * len(units) // number]
            found[side, device, i] = _sum(part)
    return found


def _sum(units: Iterable[Unit]) -> Unit:
    frames = total = 0.0
    for unit in units:
        frames, total = frames + unit.frames, total + unit.total
    return Unit(frames, total)
