"""From the worker's counters, which only grow, to what happened in an interval.

A counter belongs to one tenure of one release in one life of the worker: (instance, serial). So a
worker that starts again, a switch in mid-interval and a release that comes back within one are no
special cases: what was not there before is counted from nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

CONFIDENCE_STEPS = 10

Histogram = Annotated[
    tuple[NonNegativeInt, ...], Field(min_length=CONFIDENCE_STEPS, max_length=CONFIDENCE_STEPS)
]


class _Figures(BaseModel):
    # A newer worker may tell more.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Confidence(_Figures):
    """Best scores: their sum, the sum of their squares, and how many lie in each tenth."""

    sum: float = 0.0
    sum_squares: float = 0.0
    histogram: Histogram = (0,) * CONFIDENCE_STEPS


class Labelled(_Figures):
    """Pictures whose right class was known beforehand."""

    classified: NonNegativeInt = 0
    correct: NonNegativeInt = 0


class Counts(_Figures):
    """What became of a release's frames; durations as in :mod:`agent.worker.engines.durations`."""

    classified: NonNegativeInt = 0
    dropped: NonNegativeInt = 0
    errors: NonNegativeInt = 0
    classes: dict[str, NonNegativeInt] = {}
    confidence: Confidence = Confidence()
    labelled: Labelled = Labelled()
    latency_ms: dict[int, NonNegativeInt] = {}
    inference_ms: dict[int, NonNegativeInt] = {}
    gap_ms: dict[int, NonNegativeInt] = {}

    @property
    def captured(self) -> int:
        """Frames whose fate is known."""
        return self.classified + self.dropped

    @property
    def is_nothing(self) -> bool:
        """Whether nothing happened."""
        return not (self.captured or self.errors)

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(**_merged(self.model_dump(), other.model_dump(), operator.add))

    def since(self, earlier: Counts) -> Counts:
        """What was added; counters that went backwards began anew, and all of them is new."""
        try:
            return Counts(**_merged(self.model_dump(), earlier.model_dump(), operator.sub))
        except ValidationError:
            return self


def _merged(left: Any, right: Any, merge: Callable[[Any, Any], Any]) -> Any:
    """Number by number; in a table what is missing counts as 0, and zeros are left out."""
    if isinstance(left, dict):
        both = {key: _merged(left.get(key, 0), right.get(key, 0), merge) for key in left | right}
        return {key: value for key, value in both.items() if value}
    if isinstance(left, tuple):
        return tuple(map(merge, left, right))
    return merge(left, right)


class Tally(Counts):
    """The counters of one tenure."""

    serial: int
    release: str


class Look(_Figures):
    """The worker's counters at one moment; ``age_s`` is how long it has run."""

    instance: str
    age_s: float = 0.0
    resident_bytes: NonNegativeInt | None = None
    tallies: tuple[Tally, ...] = ()


def difference(now: Look, before: Look) -> dict[str, Counts]:
    """What happened between two looks, by release; releases without a frame are left out."""
    known = {t.serial: t for t in before.tallies} if now.instance == before.instance else {}
    changes: dict[str, Counts] = {}
    for tally in now.tallies:
        earlier = known.get(tally.serial, Counts())
        change = Counts(**dict(tally)).since(Counts(**dict(earlier)))
        if not change.is_nothing:
            changes[tally.release] = changes.get(tally.release, Counts()).plus(change)
    return changes
