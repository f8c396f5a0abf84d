"""What the service manager hears of the agent: a line for people, and the watchdog's pings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from agent.cloud.progress import ProgressKeeper
from agent.service.liveness import Liveness, Sight
from agent.service.notify import StatusLine, keep_watchdog, notify
from states.conductor import Conductor
from states.model import Package, Release
from states.ports import Postponed
from states.update import Update

LOOK_SECONDS = 1.0

_DOING = {
    "manifest-received": "looking at {}",
    "downloading": "downloading {}",
    "verifying": "proving {}",
    "activating": "switching to {}",
    "confirming": "watching {}",
    "rolling-back": "going back from {}",
    "reporting": "reporting {}",
    "awaiting-retry": "waiting to try {} again",
    "held": "{} has to wait",
}
_EXPLAINED = frozenset({"rolling-back", "awaiting-retry", "held"})


class Supervision:
    """Looks at the agent's parts and tells. ``active`` reads which release serves."""

    def __init__(
        self,
        conductor: Conductor,
        progress: ProgressKeeper,
        liveness: Liveness,
        active: Callable[[], Release | None],
    ) -> None:
        self._conductor = conductor
        self._progress = progress
        self._liveness = liveness
        self._active = active
        self._line = StatusLine()

    async def run(self) -> None:
        """Say that the agent is ready, then tell for ever."""
        notify("READY=1")
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_watchdog(self._trouble))
            group.create_task(self._tell())

    async def _trouble(self) -> str | None:
        update = self._conductor.update
        sight = Sight(
            self._conductor.steps,
            self._conductor.state,
            update.resumes if update else 0,
            self._progress.connected,
            self._progress.moved_bytes,
        )
        return self._liveness.trouble(sight, time.monotonic())

    async def _tell(self) -> None:
        step, serving = -1, None
        while True:
            if step != self._conductor.steps:
                step = self._conductor.steps
                with suppress(Postponed):  # the line is only for people
                    serving = self._active()
            text = status_text(
                self._conductor.state, self._conductor.update, serving, self._progress.percent
            )
            self._line.show(text if self._progress.connected else f"{text}; no link to the cloud")
            await asyncio.sleep(LOOK_SECONDS)


def status_text(state: str, update: Update | None, active: Release | None, percent: int) -> str:
    """What the agent does, in one line; ``percent`` is how far a download is."""
    if update is None:
        return f"serving {_names(active.packages)}" if active else "nothing was deployed yet"
    release = update.deployment.release
    known = active.packages if active else ()
    changed = tuple(p for p in release.packages if p not in known)
    text = _DOING.get(state, f"{state}: {{}}").format(_names(changed or release.packages))
    if state == "downloading":
        return f"{text}, {percent} %"
    return f"{text}: {update.detail}" if state in _EXPLAINED and update.detail else text


def _names(packages: tuple[Package, ...]) -> str:
    return " and ".join(f"{package.name} {package.version}" for package in packages)
