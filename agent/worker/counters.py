"""Exact counters: every frame whose fate is known is classified or dropped, never both."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

RECENT = 512
FPS_SECONDS = 2.0


@dataclass(frozen=True)
class Result:
    """One classified frame. Times in milliseconds; ``top`` is (label, score), best first."""

    frame: int
    release: str
    top: list[tuple[str, float]]
    latency_ms: float
    """From the capture of the frame to its result."""
    preprocess_ms: float
    inference_ms: float
    gap_ms: float | None
    """Since the result before, of whatever release; None for the first."""
    name: str | None
    label: str | None

    def to_json(self) -> dict[str, Any]:
        """As the control socket shows it."""
        top = [{"label": label, "confidence": round(score, 6)} for label, score in self.top]
        shown = {"frame": self.frame, "release": self.release, "top": top, "name": self.name}
        times = {
            "latency_ms": round(self.latency_ms, 3),
            "preprocess_ms": round(self.preprocess_ms, 3),
            "inference_ms": round(self.inference_ms, 3),
            "gap_ms": None if self.gap_ms is None else round(self.gap_ms, 3),
        }
        return {**shown, "label": self.label, **times}


@dataclass
class Tally:
    """Frames of one release since it last took over, or of all since the worker started."""

    classified: int = 0
    dropped: int = 0
    errors: int = 0
    max_gap_ms: float = 0.0
    first_classified_at: str | None = None
    labelled: int = 0
    correct: int = 0
    _recent: deque[Result] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def captured(self) -> int:
        """Frames whose fate is known; one that still waits or is in an engine is not among them."""
        return self.classified + self.dropped

    def add(self, result: Result) -> None:
        """Count a result."""
        self.classified += 1
        self.first_classified_at = self.first_classified_at or _now()
        self.max_gap_ms = max(self.max_gap_ms, result.gap_ms or 0.0)
        if result.label is not None:
            self.labelled += 1
            self.correct += result.top[0][0] == result.label
        self._recent.append(result)

    def to_json(self) -> dict[str, Any]:
        """As the control socket shows it."""
        return {
            "captured": self.captured,
            "classified": self.classified,
            "dropped": self.dropped,
            "errors": self.errors,
            "max_gap_ms": round(self.max_gap_ms, 2),
            "first_classified_at": self.first_classified_at,
            "labelled": {"classified": self.labelled, "correct": self.correct},
            "latency_ms": _quantiles([result.latency_ms for result in self._recent]),
            "inference_ms": _quantiles([result.inference_ms for result in self._recent]),
        }


class ResultClock:
    """Measures the gaps between results and their rate."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=2048)

    def tick(self, now: float) -> float | None:
        """A result came at that time (monotonic, s): milliseconds since the one before, if any."""
        gap = (now - self._times[-1]) * 1e3 if self._times else None
        self._times.append(now)
        return gap

    def pause(self) -> None:
        """Serving stopped on purpose: the time until the next result is no gap."""
        self._times.clear()

    def frames_per_second(self, now: float) -> float:
        """Results a second over the last two seconds."""
        recent = [time for time in self._times if now - time <= FPS_SECONDS]
        if len(recent) < 2:
            return 0.0
        return (len(recent) - 1) / max(now - recent[0], 1e-9)


def _quantiles(values: list[float]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p95": None}
    ordered = sorted(values)
    return {
        "p50": round(ordered[len(ordered) // 2], 3),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 3),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
