"""What happened: OTA events and log lines, in words."""

from __future__ import annotations

from dataclasses import dataclass, replace

from localcloud.console.visit import Visit
from localcloud.identifiers import unix_seconds
from localcloud.model import LogEntry, OtaEvent
from localcloud.storage.database import Paging
from localcloud.storage.events import EventFilter
from localcloud.storage.logs import LogFilter

LATEST, OF_DEVICE = 24, 100
"""How many reports are read; those of one step are shown as one."""

_ONE_STEP_SECONDS = 5
_HARMLESS = (0, 1)


@dataclass(frozen=True)
class Happened:
    """What a device reported at a time; ``packages`` says about which, with their versions."""

    at: str
    device_id: str
    device: str
    what: str
    packages: tuple[str, ...]
    tone: str


def latest_events(visit: Visit) -> list[Happened]:
    """The newest events of the whole project, newest first."""
    return _events(visit, EventFilter(), LATEST)


def device_events(visit: Visit, device_id: str) -> list[Happened]:
    """The newest events of one device, newest first."""
    return _events(visit, EventFilter(device_id=device_id), OF_DEVICE)


def device_logs(visit: Visit, device_id: str, level: str | None, term: str) -> list[LogEntry]:
    """The newest log lines of a device that have this level and hold this text."""
    wanted = LogFilter(device_id=device_id, level=level, term=term or None)
    return visit.store.logs.page(visit.project_id, wanted, Paging())[0]


def _events(visit: Visit, wanted: EventFilter, limit: int) -> list[Happened]:
    store, project = visit.store, visit.project_id
    events = store.events.page(project, wanted, limit, "").events
    names: dict[str, str] = {}
    for event in events:
        if event.device_id not in names:
            names[event.device_id] = store.devices.get(project, event.device_id).name
    told: list[Happened] = []
    for event in events:
        one = _happened(event, names[event.device_id])
        if told and _belong_together(told[-1], one):
            told[-1] = replace(told[-1], packages=(*one.packages, *told[-1].packages))
        else:
            told.append(one)
    return told


def _belong_together(later: Happened, earlier: Happened) -> bool:
    """Whether two reports are one step of a release: a device reports each package by itself."""
    same = (later.device_id, later.what) == (earlier.device_id, earlier.what)
    apart = unix_seconds(later.at) - unix_seconds(earlier.at)
    named = {package.split()[0] for package in later.packages}
    return same and apart <= _ONE_STEP_SECONDS and earlier.packages[0].split()[0] not in named


def _happened(event: OtaEvent, device: str) -> Happened:
    what, tone = event.event_type.lower(), "busy"
    if event.status not in _HARMLESS:
        what, tone = f"{what}: {event.message}", "bad"
    elif event.status == 1:
        what, tone = "updated successfully", "good"
    elif event.event_type == "IDLE":
        tone = "calm"
    before, after = event.current_version or "nothing", event.target_version
    versions = f"{before} → {after}" if after not in ("", before) else before
    return Happened(
        at=event.timestamp,
        device_id=event.device_id,
        device=device,
        what=what,
        packages=(f"{event.package_id} {versions}",),
        tone=tone,
    )
