"""What devices measured, read back from the stream: the reading side of docs/telemetry.md.

A device's document may be of another program or another version of this one, so each is checked
before it counts. Delivery is at least once: of repetitions (same device, same id) one counts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from provisioning.batch import results_of
from provisioning.documents import Part, StreamedDocument, first_fault
from provisioning.management import Management
from provisioning.resources import StreamEntry

METRICS_PATH = "edgeferry/metrics"
# What arrives may be readable in another order: that takes seconds at Golioth.
_OVERLAP = timedelta(minutes=1)

log = logging.getLogger(__name__)

Count = Annotated[int, Field(ge=0)]
Milliseconds = Annotated[float, Field(ge=0)]


class Confidence(Part):
    """Of the best scores of an interval's frames; ``histogram`` counts them in tenths."""

    sum: float = Field(ge=0)
    sum_squares: float = Field(0.0, ge=0)
    histogram: tuple[Count, ...] = ()


class Labelled(Part):
    """Of the pictures whose right class is known."""

    classified: Count = 0
    correct: Count = 0


class Quantiles(Part):
    """Of a time, in milliseconds."""

    p50: Milliseconds | None = None
    p95: Milliseconds | None = None


class Drift(Part):
    """Population stability index against the release's own first hour on the device."""

    psi: float


class Metrics(StreamedDocument):
    """What one release did on one device in one interval of ``interval_s`` seconds."""

    id: str
    interval_s: float = Field(gt=0)
    release: str
    version: str = ""
    at: datetime | None = None
    captured: Count = 0
    classified: Count = 0
    dropped: Count = 0
    errors: Count = 0
    classes: Mapping[str, Count] = {}
    classes_other: Count = 0
    confidence: Confidence | None = None
    labelled: Labelled = Labelled()
    latency_ms: Quantiles = Quantiles()
    inference_ms: Quantiles = Quantiles()
    max_gap_ms: Milliseconds | None = None
    drift: Drift | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        parts = (
            ("labelled.correct", self.labelled.correct, self.labelled.classified),
            ("dropped", self.dropped, self.captured),
            ("classes", sum(self.classes.values()), self.classified),
        )
        for name, part, whole in parts:
            if part > whole:
                raise ValueError(f"{name}: {part} of {whole}")
        return self


@dataclass(frozen=True)
class Observation:
    """A device's metrics of one interval; ``arrived`` is the cloud's time."""

    device: str
    arrived: datetime
    metrics: Metrics


class MetricsReader:
    """Reads the metrics of some devices, or of the whole project, as often as wanted."""

    def __init__(self, management: Management, device_ids: Iterable[str] | None = None) -> None:
        """``device_ids`` None means all devices."""
        self._management = management
        self._devices: list[str | None] = [None] if device_ids is None else list(set(device_ids))
        self._known: dict[tuple[str, str], Observation] = {}
        self._unreadable: set[tuple[str, datetime]] = set()
        # By the cloud's clock, whatever this machine's says.
        self._newest: datetime | None = None

    @property
    def unreadable(self) -> int:
        """Documents that were left out, for they are no metrics of the documented form."""
        return len(self._unreadable)

    def read(self, start: datetime, end: datetime | None = None) -> Sequence[Observation]:
        """What arrived from ``start`` on and before ``end``, the oldest first.

        A later call with the same ``start`` fetches only what is new. Raises ManagementError.
        """
        begin = max(start, self._newest - _OVERLAP) if self._newest else start

        def of_device(device_id: str | None) -> list[StreamEntry]:
            path = METRICS_PATH
            return list(self._management.stream(path, start=begin, end=end, device_id=device_id))

        for entry in chain.from_iterable(results_of(self._devices, of_device)):
            self._take(entry)
        known = self._known.values()
        found = (o for o in known if start <= o.arrived and (end is None or o.arrived < end))
        return sorted(found, key=lambda each: each.arrived)

    def _take(self, entry: StreamEntry) -> None:
        self._newest = max(entry.time, self._newest or entry.time)
        try:
            metrics = Metrics.model_validate(entry.document)
        except ValidationError as error:
            if not self._unreadable:
                log.warning("metrics of device %s: %s", entry.device_id, first_fault(error))
            self._unreadable.add((entry.device_id, entry.time))
            return
        # The first to arrive counts, in whatever order pages come.
        key = (entry.device_id, metrics.id)
        known = self._known.get(key)
        if known is None or entry.time < known.arrived:
            self._known[key] = Observation(entry.device_id, entry.time, metrics)


def totals(observations: Iterable[Observation]) -> dict[str, int]:
    """Sums over observations: devices, frames, seconds."""
    each = list(observations)
    return {
        "devices": len({o.device for o in each}),
        "frames": sum(o.metrics.classified for o in each),
        "seconds": round(sum(o.metrics.interval_s for o in each)),
    }
