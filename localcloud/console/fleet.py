"""Who runs what, and who does not run what it should, in the words of ``edgeferry fleet``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from localcloud.console.deliveries import active, all_cohorts
from localcloud.console.document import Said, read_document
from localcloud.console.paging import every
from localcloud.console.visit import Visit
from localcloud.model import Device
from localcloud.storage.devices import DeviceFilter

TONES = {
    "rolled back": "bad",
    "refused": "bad",
    "failing": "bad",
    "stale": "busy",
    "updating": "busy",
    "awaited": "calm",
    "disabled": "calm",
    "idle": "calm",
    "current": "good",
}
"""What a device may be, the most pressing first, with the colour it is shown in."""

_ROLLED_BACK = frozenset(
    {"commit-window-failed", "engine-failing", "crash-loop", "operator-rollback"}
)
_ON_TRIAL = ("activating", "confirming", "rolling-back")
_URGENCY = list(TONES)

Versions = Mapping[str, str]


@dataclass(frozen=True)
class DeviceRow:
    """One device. ``runs`` and ``wanted`` are versions by package; ``why`` is for people."""

    id: str
    name: str
    cohort: str
    online: bool
    seen: str | None
    status: str
    why: str
    said: Said
    runs: Versions
    wanted: Versions


def all_devices(visit: Visit, cohort: str | None = None) -> list[DeviceRow]:
    """The project's devices, or a cohort's; troubles first."""
    wanted = wanted_versions(visit)
    store, project = visit.store, visit.project_id
    only = DeviceFilter(cohort_id=cohort)
    devices = every(lambda paging: store.devices.page(project, only, paging))
    rows = [_row(visit, device, wanted.get(device.cohort_id or "", {})) for device in devices]
    return sorted(rows, key=lambda row: (_URGENCY.index(row.status), row.name))


def one_device(visit: Visit, device_id: str) -> DeviceRow:
    """One device of the project, or NotFound."""
    device = visit.store.devices.get(visit.project_id, device_id)
    return _row(visit, device, wanted_versions(visit).get(device.cohort_id or "", {}))


def wanted_versions(visit: Visit) -> dict[str, dict[str, str]]:
    """What each cohort was given, by package."""
    given = {}
    for cohort in all_cohorts(visit):
        if deployed := active(visit, cohort.cohort_id):
            given[cohort.cohort_id] = deployed.versions
    return given


def _row(visit: Visit, device: Device, wanted: Versions) -> DeviceRow:
    said = read_document(visit.store, device.id)
    reported = {name: update.get("version", "") for name, update in device.metadata.update.items()}
    runs = said.runs or {name: version for name, version in reported.items() if version}
    status, why = _judged(device, said, runs, wanted)
    return DeviceRow(
        id=device.id,
        name=device.name,
        cohort=device.cohort_id or "",
        online=visit.presence.is_online(device.id),
        seen=device.last_report,
        status=status,
        why=why,
        said=said,
        runs=runs,
        wanted=wanted,
    )


def _judged(device: Device, said: Said, runs: Versions, wanted: Versions) -> tuple[str, str]:
    if not device.enabled:
        return "disabled", "shut out by the operator"
    if device.last_report is None:
        return "awaited", "never connected"
    if not wanted:
        return "idle", "its cohort was given nothing" if device.cohort_id else "in no cohort"
    # Packages beside the release, such as a patch, are fetched and not run.
    if runs and all(wanted.get(name) == version for name, version in runs.items()):
        return ("updating", said.state) if said.state in _ON_TRIAL else ("current", "")
    if said.state is None:
        return _judged_by_reports(device)
    if said.state != "idle":
        return ("failing" if said.error else "updating"), said.error or said.state
    if not said.error:
        return "stale", "has not begun with what its cohort was given"
    return ("rolled back" if said.reason in _ROLLED_BACK else "refused"), said.error


def _judged_by_reports(device: Device) -> tuple[str, str]:
    for package, update in device.metadata.update.items():
        if update.get("reasonCode") not in ("0", "1"):
            return "failing", f"{package}: {update.get('reason', '')}"
        if update.get("state") not in ("IDLE", None):
            return "updating", f"{package}: {update['state'].lower()}"
    return "stale", "does not report what its cohort was given"
