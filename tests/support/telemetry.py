"""Documents as devices stream them (docs/telemetry.md), put into a local cloud's stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tests.support.provisioning import BackgroundCloud

Json = dict[str, Any]


def metrics(
    number: int,
    *,
    version: str = "1",
    release: str | None = None,
    frames: int = 1800,
    labelled: int = 0,
    correct: int = 0,
    confidence: float = 0.9,
    errors: int = 0,
    dropped: int = 0,
    p95: float = 20.0,
    classes: dict[str, int] | None = None,
    **others: Any,
) -> Json:
    """One minute of a device, its ``number``-th; ``confidence`` is the mean."""
    histogram = [0] * 10
    histogram[min(9, int(confidence * 10))] = frames
    return {
        "format": 1,
        "id": f"5f0c6c3e-{number:06d}",
        "at": "2026-11-23T21:00:00.000Z",
        "interval_s": 60.0,
        "release": release or f"release-of-{version}",
        "version": version,
        "sequence": 1764000000,
        "captured": frames + dropped,
        "classified": frames,
        "dropped": dropped,
        "errors": errors,
        "classes": classes or {"bell-pepper": frames},
        "classes_other": 0,
        "confidence": {
            "sum": confidence * frames,
            "sum_squares": confidence**2 * frames,
            "histogram": histogram,
        },
        "labelled": {"classified": labelled, "correct": correct},
        "latency_ms": {"p50": p95 / 2, "p95": p95},
        "inference_ms": {"p50": p95 / 4, "p95": p95 / 2},
        "max_gap_ms": 41.0,
        "drift": None,
        "device": {"load1": 0.4, "temperature_c": None},
        **others,
    }


def minutes(
    number: int,
    *,
    seed: int,
    first: int = 0,
    accuracy: float | None = None,
    confidence: float = 0.9,
    p95: float = 20.0,
    **same: Any,
) -> list[Json]:
    """Several minutes of a device that varies as real ones do; 60 labelled pictures in each."""
    random = np.random.default_rng(seed)
    found = []
    for i in range(first, first + number):
        labelled = 0 if accuracy is None else 60
        found.append(
            metrics(
                i,
                labelled=labelled,
                correct=int(random.binomial(labelled, accuracy or 0)),
                confidence=float(np.clip(random.normal(confidence, 0.01), 0, 1)),
                p95=float(abs(random.normal(p95, 0.4))),
                **same,
            )
        )
    return found


def stream(cloud: BackgroundCloud, device_id: str, path: str, documents: Iterable[Any]) -> None:
    """Documents as if the device had sent them just now."""

    def add() -> None:
        project = cloud.cloud.project.id
        for document in documents:
            cloud.cloud.store.stream.add(project, device_id, path.split("/"), document)

    cloud.in_its_loop(add)
