"""Exact counters: every frame whose fate is known is classified or dropped, never both."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from agent.wall_clock import utc_now
from agent.worker.engines.durations import Durations

if TYPE_CHECKING:
    from agent.worker.camera.frames import Frame
    from agent.worker.engines.engine import Answer

RECENT = 512
FPS_SECONDS = 2.0
CONFIDENCE_STEPS = 10


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

    @classmethod
    def of(
        cls, frame: Frame, release: str, answer: Answer, now: float, gap_ms: float | None
    ) -> Result:
        """A release's answer to a frame at that time (monotonic, s)."""
        return cls(
            frame.number,
            release,
            answer.top,
            (now - frame.captured_at) * 1e3,
            answer.preprocess_ms,
            answer.inference_ms,
            gap_ms,
            frame.name,
            frame.label,
        )

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
class Shown:
    """What a release showed in its results: how sure it was, and of what."""

    count: int = 0
    confidence_sum: float = 0.0
    confidence_squares: float = 0.0
    histogram: list[int] = field(default_factory=lambda: [0] * CONFIDENCE_STEPS)
    """Best scores in tenths; the last step holds 1.0 too."""
    classes: Counter[str] = field(default_factory=Counter)
    changes: int = 0
    """Answers that are another class than the one before: how often the scene changed, to it."""
    _newest: str | None = None

    def add(self, result: Result) -> None:
        """Count a result by its best class."""
        label, confidence = result.top[0]
        self.count += 1
        self.confidence_sum += confidence
        self.confidence_squares += confidence * confidence
        step = int(confidence * CONFIDENCE_STEPS)
        self.histogram[max(0, min(step, CONFIDENCE_STEPS - 1))] += 1
        self.classes[label] += 1
        self.changes += self._newest not in {None, label}
        self._newest = label

    def to_json(self) -> dict[str, Any]:
        """As the control socket shows it; the mean is None without a result."""
        mean = round(self.confidence_sum / self.count, 4) if self.count else None
        confidence = {"mean": mean, "histogram": list(self.histogram)}
        return {
            "confidence": confidence,
            "classes": dict(self.classes),
            "changes": self.changes,
        }


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
    shown: Shown = field(default_factory=Shown)
    latency: Durations = field(default_factory=Durations)
    inference: Durations = field(default_factory=Durations)
    gaps: Durations = field(default_factory=Durations)
    serial: int = field(default_factory=count(1).__next__)
    """No other tally of this process has the same."""
    _recent: deque[Result] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def captured(self) -> int:
        """Frames whose fate is known; one that still waits or is in an engine is not among them."""
        return self.classified + self.dropped

    def add(self, result: Result) -> None:
        """Count a result."""
        self.classified += 1
        self.first_classified_at = self.first_classified_at or utc_now()
        self.max_gap_ms = max(self.max_gap_ms, result.gap_ms or 0.0)
        if result.label is not None:
            self.labelled += 1
            self.correct += result.top[0][0] == result.label
        self.shown.add(result)
        self.latency.add(result.latency_ms)
        self.inference.add(result.inference_ms)
        if result.gap_ms is not None:
            self.gaps.add(result.gap_ms)
        self._recent.append(result)

    def to_json(self) -> dict[str, Any]:
        """As the control socket shows it."""
        return {
            **self._counts(),
            "max_gap_ms": round(self.max_gap_ms, 2),
            "first_classified_at": self.first_classified_at,
            "labelled": self._labelled(),
            "latency_ms": _quantiles([result.latency_ms for result in self._recent]),
            "inference_ms": self._inference_ms(),
            **self.shown.to_json(),
        }

    def sums(self) -> dict[str, Any]:
        """All that only ever grows, for those who take differences (:mod:`agent.telemetry`)."""
        shown = self.shown
        return {
            "serial": self.serial,
            "classified": self.classified,
            "dropped": self.dropped,
            "errors": self.errors,
            "classes": dict(shown.classes),
            "confidence": {
                "sum": shown.confidence_sum,
                "sum_squares": shown.confidence_squares,
                "histogram": list(shown.histogram),
            },
            "labelled": self._labelled(),
            "latency_ms": dict(self.latency.counts),
            "inference_ms": dict(self.inference.counts),
            "gap_ms": dict(self.gaps.counts),
        }

    def side(self) -> dict[str, Any]:
        """One side of a comparison."""
        return {**self._counts(), "inference_ms": self._inference_ms(), **self.shown.to_json()}

    def recent_side(self) -> dict[str, Any]:
        """The same, with what was shown in the last 512 results alone."""
        return {**self.side(), **_shown(self._recent).to_json()}

    def _counts(self) -> dict[str, int]:
        return {
            "captured": self.captured,
            "classified": self.classified,
            "dropped": self.dropped,
            "errors": self.errors,
        }

    def _labelled(self) -> dict[str, int]:
        return {"classified": self.labelled, "correct": self.correct}

    def _inference_ms(self) -> dict[str, float | None]:
        return _quantiles([result.inference_ms for result in self._recent])


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


def _shown(results: Iterable[Result]) -> Shown:
    shown = Shown()
    for result in results:
        shown.add(result)
    return shown
