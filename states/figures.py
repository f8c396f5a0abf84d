"""What the worker measured of the releases it serves, as it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from states.reasons import Transient


@dataclass(frozen=True)
class Showing:
    """How one release does its work: counters of its time of serving, and what it answers.

    ``captured = classified + dropped``; ``errors`` counts engine failures. Times in milliseconds
    per frame, None before the first one. ``classes`` counts answers by label and ``changes`` those
    that differ from the one before; what follows the counters is of the frames that are compared.
    """

    captured: int
    classified: int
    dropped: int
    errors: int
    inference_p50_ms: float | None = None
    inference_p95_ms: float | None = None
    mean_confidence: float | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    changes: int = 0


@dataclass(frozen=True)
class Comparison:
    """A new release beside the one before it, since the switch.

    With ``same_frames`` both have seen the same frames: ``compared`` of them, and ``agreed`` on so
    many. Without, ``previous_side`` is what the release before last showed in its own time, and
    ``why_not`` tells why. While ``shadowing`` the release before is still in memory.
    ``later_half`` is the same of the later half of the frames, for what only shows after a while.
    """

    release: str
    previous: str
    compared: int
    agreed: int
    same_frames: bool
    candidate: Showing
    previous_side: Showing
    same_labels: bool = True
    shadowing: bool = False
    why_not: str = ""
    later_half: Comparison | None = None


@dataclass(frozen=True)
class WorkerFigures:
    """The worker's exact counters for the release it serves.

    ``captured = classified + dropped``; ``errors`` counts engine failures of that release.
    ``fell_back_from`` is the release the worker left by itself because it kept failing, for the
    reason ``fell_back_because``; ``fell_back_for`` is set when the device may be at fault rather
    than the release. ``instance`` differs from one start of the worker to the next.
    """

    serving: str | None
    captured: int
    classified: int
    dropped: int
    errors: int
    comparison: Comparison | None = None
    fell_back_from: str | None = None
    fell_back_because: str = ""
    fell_back_for: Transient | None = None
    instance: str = ""
