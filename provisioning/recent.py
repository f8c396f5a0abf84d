"""What devices measured in the last minutes, in a few figures each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provisioning.analysis.measures import CONFIDENCE, DROPPED, LATENCY_P95, Measure
from provisioning.management import Management
from provisioning.metrics import MetricsReader, Observation

RECENT = timedelta(minutes=5)


@dataclass(frozen=True)
class Figures:
    """Of one device, over all that arrived lately; None where it did not say.

    ``drift`` is the newest population stability index: above 0.25 is worth a look.
    """

    frames_per_minute: float
    confidence: float | None
    dropped: float | None
    latency_p95_ms: float | None
    drift: float | None


def recent_figures(management: Management) -> dict[str, Figures]:
    """By device id, of those that measured something in the last RECENT minutes."""
    # By this machine's clock; where that is wrong, more or fewer minutes count.
    observations = MetricsReader(management).read(datetime.now(UTC) - RECENT)
    by_device: defaultdict[str, list[Observation]] = defaultdict(list)
    for observation in observations:
        by_device[observation.device].append(observation)
    return {device: figures_of(found) for device, found in by_device.items()}


def figures_of(observations: Sequence[Observation]) -> Figures:
    """One device's figures; at least one observation, the oldest first."""
    seconds = sum(o.metrics.interval_s for o in observations)
    frames = sum(o.metrics.classified for o in observations)
    drifts = [o.metrics.drift.psi for o in observations if o.metrics.drift]
    return Figures(
        frames_per_minute=60 * frames / seconds,
        confidence=_mean(CONFIDENCE, observations),
        dropped=_mean(DROPPED, observations),
        latency_p95_ms=_mean(LATENCY_P95, observations),
        drift=drifts[-1] if drifts else None,
    )


def _mean(measure: Measure, observations: Sequence[Observation]) -> float | None:
    units = [unit for o in observations if (unit := measure.figure(o.metrics))]
    frames = sum(unit.frames for unit in units)
    return sum(unit.total for unit in units) / frames if frames else None
