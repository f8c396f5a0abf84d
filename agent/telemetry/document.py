"""The metrics document of one release and one interval (docs/telemetry.md)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.telemetry.counts import Counts
from agent.telemetry.drift import CLASSES, Drift
from agent.worker.engines.durations import longest, quantile

FORMAT = 1


@dataclass(frozen=True)
class Interval:
    """When it ended (RFC 3339) and how many seconds it had; ``id`` names one document for good."""

    id: str
    at: str
    seconds: float


@dataclass(frozen=True)
class ReleaseName:
    """What a release is called: its id, the model package's version, its newest deployment."""

    id: str
    version: str | None
    sequence: int | None


def metrics_body(
    interval: Interval,
    release: ReleaseName,
    counts: Counts,
    drift: tuple[Drift, int] | None,
    device: Mapping[str, float | int | None],
) -> str:
    """The JSON text; ``drift`` comes with the frames of its baseline."""
    told = dict(Counter(counts.classes).most_common(CLASSES))
    confidence = counts.confidence
    document = {
        "format": FORMAT,
        "id": interval.id,
        "at": interval.at,
        "interval_s": round(interval.seconds, 3),
        "release": release.id,
        "version": release.version,
        "sequence": release.sequence,
        "captured": counts.captured,
        "classified": counts.classified,
        "dropped": counts.dropped,
        "errors": counts.errors,
        "classes": told,
        "classes_other": sum(counts.classes.values()) - sum(told.values()),
        "confidence": {
            "sum": round(confidence.sum, 6),
            "sum_squares": round(confidence.sum_squares, 6),
            "histogram": list(confidence.histogram),
        },
        "labelled": counts.labelled.model_dump(),
        "latency_ms": _quantiles(counts.latency_ms),
        "inference_ms": _quantiles(counts.inference_ms),
        "max_gap_ms": _rounded(longest(counts.gap_ms)),
        "drift": drift and _drift(*drift),
        "device": device,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _quantiles(counts: Mapping[int, int]) -> dict[str, float | None]:
    return {"p50": _rounded(quantile(counts, 0.5)), "p95": _rounded(quantile(counts, 0.95))}


def _drift(measured: Drift, baseline_frames: int) -> dict[str, Any]:
    return {
        "psi": round(measured.psi, 4),
        "confidence_psi": round(measured.confidence, 4),
        "classes_psi": round(measured.classes, 4),
        "frames": measured.frames,
        "baseline_frames": baseline_frames,
    }


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 2)
