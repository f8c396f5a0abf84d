"""What happened: OTA events and log lines, in words."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.console.visit import Visit
from localcloud.model import LogEntry, OtaEvent
from localcloud.storage.database import Paging
from localcloud.storage.events import EventFilter, LogFilter

LATEST = 12
OF_DEVICE = 60
_HARMLESS = (0, 1)


@dataclass(frozen=True)
class Happened:
    """One event: what, about which package, with which tone."""

    at: str
    device_id: str
    device: str
    package: str
    what: str
    versions: str
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
    return [_happened(event, names[event.device_id]) for event in events]


def _happened(event: OtaEvent, device: str) -> Happened:
    what, tone = event.event_type.lower(), "busy"
    if event.status not in _HARMLESS:
        what, tone = f"{what}: {event.message}", "bad"
    elif event.status == 1:
        what, tone = "updated successfully", "good"
    elif event.event_type == "IDLE":
        tone = "calm"
    arrow = f" → {event.target_version}" if event.target_version else ""
    return Happened(
        at=event.timestamp,
        device_id=event.device_id,
        device=device,
        package=event.package_id,
        what=what,
        versions=f"{event.current_version or 'nothing'}{arrow}",
        tone=tone,
    )
