"""What a spectator should not miss, and how often it happened: from the worker's events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

SHOWN_SECONDS = 8.0
REMEMBERED = 20

Kind = Literal["reloaded", "went-back", "engine-failed", "camera-lost", "camera-back"]


@dataclass(frozen=True)
class Notice:
    """One banner. ``at`` is in seconds, monotonic."""

    kind: Kind
    title: str
    text: str
    at: float


@dataclass
class EventCounts:
    """How often things happened since the worker started."""

    swaps: int = 0
    fallbacks: int = 0
    engine_failures: int = 0
    source_failures: int = 0
    last_gap_ms: float | None = None
    """Between the last two results around the newest swap."""

    def to_json(self) -> dict[str, Any]:
        """As the control socket shows it."""
        return asdict(self)


class Notices:
    """Notes the worker's events."""

    def __init__(self, describe: Callable[[str], str] = str) -> None:
        """``describe`` names a release for people."""
        self.counts = EventCounts()
        self._describe = describe
        self._notices: deque[Notice] = deque(maxlen=REMEMBERED)
        self._before: str | None = None  # the release that served before the one that serves

    def note(self, event: dict[str, Any], now: float) -> None:
        """An event of the worker came at that time (monotonic, s)."""
        notice = self._notice(event, now)
        if notice:
            self._notices.append(notice)

    def current(self, now: float) -> list[Notice]:
        """What is to be shown now, the newest first; a lost camera stays until it is back."""
        shown = [n for n in self._notices if now - n.at < SHOWN_SECONDS]
        lost = self._lost_camera()
        if lost and lost not in shown:
            shown.insert(0, lost)
        return shown[::-1]

    def _lost_camera(self) -> Notice | None:
        camera = [n for n in self._notices if n.kind in {"camera-lost", "camera-back"}]
        return camera[-1] if camera and camera[-1].kind == "camera-lost" else None

    def _notice(self, event: dict[str, Any], now: float) -> Notice | None:
        match event["event"]:
            case "switched":
                return self._switched(event, now)
            case "fell-back":
                self.counts.fallbacks += 1
                failed, serves = map(self._describe, (event["previous"], event["release"]))
                text = f"{failed} kept failing; {serves} serves again"
                self._before = None
                return Notice("went-back", "WENT BACK", text, now)
            case "engine-failed":
                self.counts.engine_failures += 1
                text = f"{self._describe(event['release'])}: {event['reason']}: {event['detail']}"
                return Notice("engine-failed", "MODEL FAILED", text, now)
            case "source-failed":
                self.counts.source_failures += 1
                return Notice("camera-lost", "CAMERA LOST", event["detail"], now)
            case "source-recovered":
                text = f"after {event['seconds']:g} s"
                return Notice("camera-back", "CAMERA BACK", text, now)
        return None

    def _switched(self, event: dict[str, Any], now: float) -> Notice:
        release, previous, gap = event["release"], event["previous"], event["gap_ms"]
        self.counts.swaps += 1
        self.counts.last_gap_ms = gap
        went_back = previous is not None and release == self._before
        self._before = None if went_back else previous
        text = self._describe(release)
        if previous:
            text = f"{self._describe(previous)} → {text}"
        if gap is not None:
            text += f", {gap:.0f} ms between two results"
        if went_back:
            return Notice("went-back", "WENT BACK", text, now)
        return Notice("reloaded", "MODEL RELOADED" if previous else "MODEL LOADED", text, now)
