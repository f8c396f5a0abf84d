"""What the service manager hears of the worker: a line for people, and whether it still serves.

A model that fails or hangs is nothing to restart the worker for: its engine is replaced or the
release before comes back. What a restart does mend are a control socket that nobody can reach any
more, a camera driver that never returns, and a defect that leaves frames lying.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from agent.worker.sandbox.starvation import LONGER_TIMES
from agent.worker.settings import WorkerSettings
from agent.worker_port.client import WorkerClient
from states.ports import Postponed

PATIENCE_SECONDS = 60.0


class Flow:
    """Compares the worker's figures with what they were. Times are monotonic seconds."""

    def __init__(self, frame_seconds: float, stall_seconds: float) -> None:
        """How long an engine and a source may take before the worker replaces them itself."""
        self._settle_seconds = PATIENCE_SECONDS + LONGER_TIMES * frame_seconds
        self._capture_seconds = PATIENCE_SECONDS + 2 * stall_seconds
        self._captured: tuple[str, int] | None = None
        self._captured_at = 0.0
        self._settled = -1
        self._settled_at = 0.0

    def trouble(self, figures: dict[str, Any], now: float) -> str | None:
        """What stands still, for people, or None."""
        captured = (figures["source"]["state"], figures["frames"])
        if captured != self._captured:
            self._captured, self._captured_at = captured, now
        settled = figures["captured"] + figures["unserved"]
        if settled != self._settled or not figures["in_flight"]:
            self._settled, self._settled_at = settled, now
        if captured[0] == "playing" and now - self._captured_at > self._capture_seconds:
            source = figures["source"]["address"]
            return f"{source} plays, but gave no frame for {self._capture_seconds:g} s"
        if now - self._settled_at > self._settle_seconds:
            return f"a frame has been waiting for an answer for {self._settle_seconds:g} s"
        return None


class ServiceWatch:
    """Asks the worker through its own control socket, as the agent would."""

    def __init__(self, settings: WorkerSettings, state_dir: Path) -> None:
        self._client = WorkerClient(
            settings.socket_path(state_dir),
            state_dir / "releases",
            load_seconds=settings.load_seconds,
        )
        self._flow = Flow(settings.frame_seconds, settings.stall_seconds)

    async def trouble(self) -> str | None:
        """Why the worker does not serve as it should, or None."""
        try:
            figures = await self._client.status()
        except Postponed as away:
            return away.detail
        return self._flow.trouble(figures, time.monotonic())


def status_text(figures: dict[str, Any]) -> str:
    """What the worker does, in one line."""
    source = figures["source"]
    text = "waiting for a release"
    if figures["release"]:
        text = f"{figures['state']} release {figures['release']}, {figures['fps']:.1f} frames/s"
    if candidate := figures["candidate"]:
        text += f", {candidate['release']} {candidate['state']} beside it"
    if source["state"] == "playing":
        return f"{text} from {source['address']}"
    return f"{text}; {source['address']} {source['state']}: {source['detail'] or 'no picture yet'}"
