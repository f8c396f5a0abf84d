"""What devices measured, from the documents at ``.s/edgeferry/metrics`` (docs/telemetry.md).

A device may stream anything there: what is no such document counts as none, and one that is
repeated counts once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from localcloud.console.visit import Visit
from localcloud.identifiers import format_timestamp
from localcloud.model import StreamEntry
from localcloud.storage.stream import StreamFilter

METRICS_PATH = "edgeferry/metrics"

_Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Confidence(_Part):
    sum: float = 0.0


class _Labelled(_Part):
    classified: _Count = 0
    correct: _Count = 0


class _Quantiles(_Part):
    p50: float | None = None
    p95: float | None = None


class _Drift(_Part):
    psi: float | None = None


class Interval(_Part):
    """One interval of one release on one device, as the device told it."""

    id: str
    release: str
    version: str = ""
    captured: _Count = 0
    classified: _Count = 0
    dropped: _Count = 0
    errors: _Count = 0
    classes: dict[str, _Count] = {}
    classes_other: _Count = 0
    confidence: _Confidence = _Confidence()
    labelled: _Labelled = _Labelled()
    latency_ms: _Quantiles = _Quantiles()
    drift: _Drift | None = None
    at: str = ""

    @property
    def name(self) -> str:
        """The release as people know it: its version, or the beginning of its id."""
        return f"version {self.version}" if self.version else f"release {self.release[:8]}"


@dataclass(frozen=True)
class Measured:
    """An interval, from which device and when it arrived (RFC 3339)."""

    device_id: str
    time: str
    interval: Interval


@dataclass(frozen=True)
class Figures:
    """Intervals added up. Shares and means are None where there is nothing to tell them from.

    ``latency_p95_ms`` is the mean of the intervals' 95th percentiles, weighted by their frames;
    ``psi`` is the newest interval's.
    """

    name: str
    devices: int
    frames: int
    dropped: int
    errors: int
    confidence: float | None
    accuracy: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    psi: float | None
    last: str
    classes: Mapping[str, float]


def measurements(visit: Visit, device_ids: Sequence[str] | None, hours: float) -> list[Measured]:
    """What these devices, or all, told in the last hours; oldest first."""
    start = format_timestamp(time.time_ns() - int(hours * 3600e9))
    wanted = StreamFilter(device_ids, start=start, path=METRICS_PATH)
    found: dict[tuple[str, str], Measured] = {}
    for entry in visit.store.stream.entries(visit.project_id, wanted):
        measured = _measured(entry)
        if measured is not None:
            found[measured.device_id, measured.interval.id] = measured
    return sorted(found.values(), key=lambda measured: measured.time)


def by_release(measured: Iterable[Measured]) -> dict[str, list[Measured]]:
    """Measurements by the release's name, in the order they are first told of."""
    releases: dict[str, list[Measured]] = {}
    for one in measured:
        releases.setdefault(one.interval.name, []).append(one)
    return releases


def figures(name: str, measured: Sequence[Measured]) -> Figures:
    """Measurements of one release or side added up."""
    intervals = [one.interval for one in measured]
    frames = sum(interval.classified for interval in intervals)
    labelled = sum(interval.labelled.classified for interval in intervals)
    correct = sum(interval.labelled.correct for interval in intervals)
    classes: Counter[str] = Counter()
    for interval in intervals:
        classes.update(interval.classes)
        classes["(other)"] += interval.classes_other
    drifts = [interval.drift.psi for interval in intervals if interval.drift]
    return Figures(
        name=name,
        devices=len({one.device_id for one in measured}),
        frames=frames,
        dropped=sum(interval.dropped for interval in intervals),
        errors=sum(interval.errors for interval in intervals),
        confidence=_share(sum(i.confidence.sum for i in intervals), frames),
        accuracy=_share(correct, labelled),
        latency_p50_ms=_weighted((i.latency_ms.p50, i.classified) for i in intervals),
        latency_p95_ms=_weighted((i.latency_ms.p95, i.classified) for i in intervals),
        psi=drifts[-1] if drifts else None,
        last=measured[-1].time if measured else "",
        classes={name: count / frames for name, count in classes.most_common() if count and frames},
    )


def _measured(entry: StreamEntry) -> Measured | None:
    data: Any = entry.data
    for segment in METRICS_PATH.split("/"):
        data = data.get(segment) if isinstance(data, dict) else None
    try:
        return Measured(entry.device_id, entry.time, Interval.model_validate(data))
    except ValidationError:
        return None


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _weighted(pairs: Iterable[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in pairs if value is not None and weight]
    return _share(sum(value * weight for value, weight in known), sum(w for _, w in known))
