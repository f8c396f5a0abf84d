"""What the fleet page shows, gathered from the store.

A device's own document at ``.d/edgeferry`` may hold anything, so every field is looked at before
it is passed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from localcloud.identifiers import timestamp
from localcloud.model import Cohort, Device
from localcloud.storage.database import MAX_PAGE, Paging
from localcloud.storage.devices import DeviceFilter
from localcloud.storage.events import EventFilter
from localcloud.storage.store import Store
from protocol.formats import PlainValue

STATE_PATH = "edgeferry"
SHOWN_DEVICES = 300
SHOWN_EVENTS = 12

Summary = dict[str, Any]


class Fleet(Protocol):
    """Knows which devices are connected."""

    def is_online(self, device_id: str) -> bool:
        """Whether the device has a live session."""


def summarize(store: Store, fleet: Fleet, project_id: str) -> Summary:
    """Devices, cohorts and the latest events of a project."""
    project = store.projects.get(project_id)
    known, total = _devices(store, project_id)
    names = {device.id: device.name for device in known}
    devices = [_device(store, fleet, device) for device in known]
    return {
        "project": project.name,
        "now": timestamp(),
        "total": total,
        "devices": devices,
        "cohorts": [_cohort(store, project_id, cohort) for cohort in _cohorts(store, project_id)],
        "events": list(_events(store, project_id, names)),
    }


def _devices(store: Store, project_id: str) -> tuple[list[Device], int]:
    found: list[Device] = []
    for page in range(SHOWN_DEVICES // MAX_PAGE):
        devices, total = store.devices.page(project_id, DeviceFilter(), Paging(page))
        found += devices
        if len(found) >= total:
            break
    return found, total


def _cohorts(store: Store, project_id: str) -> list[Cohort]:
    return store.cohorts.page(project_id, Paging())[0]


def _device(store: Store, fleet: Fleet, device: Device) -> Summary:
    document = _map(store.state.read(device.id, [STATE_PATH]))
    target = _map(document.get("target"))
    reported = {name: status.get("version", "") for name, status in device.metadata.update.items()}
    return {
        "id": device.id,
        "name": device.name,
        "cohort": device.cohort_id,
        "enabled": device.enabled,
        "online": fleet.is_online(device.id),
        "lastSeen": device.last_report,
        "state": _text(document.get("state")),
        "packages": _versions(_map(document.get("active"))) or reported,
        "target": _versions(target),
        "progress": _progress(_map(document.get("progress")) or target) if target else None,
        "error": _error(document.get("last_error")),
        "worker": _worker(_map(document.get("worker"))),
    }


def _cohort(store: Store, project_id: str, cohort: Cohort) -> Summary:
    deployment = None
    if cohort.active_deployment_id:
        active = store.deployments.get(project_id, cohort.cohort_id, cohort.active_deployment_id)
        artifacts = [store.artifacts.get(project_id, id_) for id_ in active.artifact_ids]
        deployment = {
            "name": active.name,
            "at": active.created_at,
            "packages": {artifact.package: artifact.version for artifact in artifacts},
        }
    return {"name": cohort.name, "devices": cohort.device_count, "deployment": deployment}


def _events(store: Store, project_id: str, names: dict[str, str]) -> Iterator[Summary]:
    for event in store.events.page(project_id, EventFilter(), SHOWN_EVENTS, "").events:
        yield {**event.shape(), "device": names.get(event.device_id, event.device_id)}


def _map(value: PlainValue) -> dict[str, PlainValue]:
    return value if isinstance(value, dict) else {}


def _text(value: PlainValue) -> str | None:
    return value[:200] if isinstance(value, str) else None


def _number(value: PlainValue) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _versions(release: dict[str, PlainValue]) -> dict[str, str]:
    packages = _map(release.get("packages"))
    versions = {name: _text(_map(package).get("version")) for name, package in packages.items()}
    return {name: version for name, version in versions.items() if version is not None}


def _progress(document: dict[str, PlainValue]) -> dict[str, float] | None:
    done, total = _number(document.get("bytes_done")), _number(document.get("bytes_total"))
    # What is complete is left from an earlier download: this one says so by its next state.
    if done is None or total is None or not 0 <= done < total:
        return None
    return {"done": done, "total": total}


def _error(value: PlainValue) -> str | None:
    fields = _map(value)
    parts = [_text(fields.get("reason")), _text(fields.get("detail"))]
    return _text(value) or ": ".join(part for part in parts if part) or None


def _worker(document: dict[str, PlainValue]) -> Summary | None:
    if not document:
        return None
    return {"state": _text(document.get("state")), "fps": _number(document.get("fps"))}
