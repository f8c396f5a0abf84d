"""Two sides of an A/B test in plain figures. The verdict is ``edgeferry compare``'s."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localcloud.console.telemetry import Figures, Measured, figures

Value = Callable[[Figures], float | None]

MEASURES: dict[str, tuple[Value, str]] = {
    "Accuracy": (lambda f: f.accuracy, "%"),
    "Confidence": (lambda f: f.confidence, "%"),
    "Dropped": (lambda f: f.dropped / (f.frames + f.dropped) if f.frames else None, "%"),
    "Latency p50": (lambda f: f.latency_p50_ms, "ms"),
    "Latency p95": (lambda f: f.latency_p95_ms, "ms"),
    "Drift": (lambda f: f.psi, ""),
}
"""What is compared, with its unit; shares are in percent."""


@dataclass(frozen=True)
class Mean:
    """The mean over devices, ``half`` the width of its 95 % interval; None with one device."""

    value: float
    half: float | None
    unit: str

    def __str__(self) -> str:
        factor = 100.0 if self.unit == "%" else 1.0
        digits = 3 if not self.unit else 1
        half = "" if self.half is None else f" ± {self.half * factor:.{digits}f}"
        return f"{self.value * factor:.{digits}f}{half} {self.unit}".strip()


@dataclass(frozen=True)
class Side:
    """One side: all of it added up, and each measure's mean over its devices."""

    total: Figures
    means: dict[str, Mean]


def side(name: str, measured: Sequence[Measured]) -> Side:
    """A side from its measurements. Devices count, not frames: those of one device are alike."""
    devices: dict[str, list[Measured]] = {}
    for one in measured:
        devices.setdefault(one.device_id, []).append(one)
    each = [figures(device_id, told) for device_id, told in devices.items()]
    means = {}
    for measure, (value, unit) in MEASURES.items():
        known = [found for one in each if (found := value(one)) is not None]
        if known:
            means[measure] = Mean(statistics.fmean(known), _half_width(known), unit)
    return Side(figures(name, measured), means)


def _half_width(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    return 1.96 * statistics.stdev(values) / math.sqrt(len(values))
