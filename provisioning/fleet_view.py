"""Who runs what, and who does not run what it should: judged from what devices say.

A device tells its state, the versions it runs and its last difficulty in the state document at
``.d/edgeferry``; where it has none, its OTA reports say which versions it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from provisioning.batch import results_of
from provisioning.deploying import cohort_named
from provisioning.documents import Part
from provisioning.management import Management
from provisioning.resources import Artifact, Cohort, Device

STATE_PATH = "edgeferry"
# What the agent says when a release served and was taken back.
_ROLLED_BACK = frozenset(
    {"commit-window-failed", "engine-failing", "crash-loop", "operator-rollback"}
)
# Serving already, and not yet sure that it stays.
_ON_TRIAL = frozenset({"activating", "confirming", "rolling-back"})
_NO_DIFFICULTY = frozenset({0, 1})  # Golioth's reasons "ready" and "updated successfully"
TROUBLES = ("rolled back", "refused", "failing", "stale", "updating", "awaited", "disabled")
"""What a device may be other than "current" or "idle", the most pressing first."""

Versions = Mapping[str, str]


class _Release(Part):
    id: str | None = None
    versions: Mapping[str, str] = {}


class _Difficulty(Part):
    reason: str
    detail: str = ""


class _StateDocument(Part):
    state: str
    active: _Release | None = None
    last_error: _Difficulty | None = None


@dataclass(frozen=True)
class DeviceView:
    """One device: ``runs`` and ``wanted`` are versions by package, ``why`` is for people.

    ``status`` is "current" where it runs what its cohort was given, "idle" where that is nothing,
    else one of TROUBLES. ``seen`` is when the device was last heard of, ``release`` the id of the
    release it runs, None where it does not say.
    """

    name: str
    id: str
    cohort: str | None
    status: str
    online: bool
    seen: datetime | None
    runs: Versions
    wanted: Versions
    why: str = ""
    release: str | None = None


class FleetView:
    """A project's devices, or those of one cohort, looked at as often as wanted."""

    def __init__(
        self, management: Management, release_packages: tuple[str, ...], cohort: str | None
    ) -> None:
        """``cohort`` is a name or id. Raises WrongUsage when there is none of that name."""
        self._management = management
        self._packages = release_packages
        self._only = cohort_named(management, cohort).cohort_id if cohort else None
        self._artifacts: dict[str, Artifact] = {}

    def look(self) -> list[DeviceView]:
        """Every device as it is now, troubles first. Raises ManagementError."""
        wanted = {c.cohort_id: self._wanted(c) for c in self._management.cohorts()}
        devices = self._management.devices(cohort_id=self._only)

        def view(device: Device) -> DeviceView:
            told = self._management.device_state(device.id, STATE_PATH)
            return view_of(device, told, wanted.get(device.cohort_id or "", {}), self._packages)

        return sorted(results_of(devices, view), key=_urgency)

    def _wanted(self, cohort: Cohort) -> Versions:
        if cohort.active_deployment_id is None or self._only not in (None, cohort.cohort_id):
            return {}
        for deployment in self._management.deployments(cohort.cohort_id):
            if deployment.deployment_id == cohort.active_deployment_id:
                artifacts = [self._artifact(id_) for id_ in deployment.artifact_ids]
                return {a.package: a.version for a in artifacts if a}
        return {}

    def _artifact(self, artifact_id: str) -> Artifact | None:
        if artifact_id not in self._artifacts:
            self._artifacts = {artifact.id: artifact for artifact in self._management.artifacts()}
        return self._artifacts.get(artifact_id)


def view_of(
    device: Device, told: Any, wanted: Versions, release_packages: tuple[str, ...]
) -> DeviceView:
    """A device judged by its record, its state document and what its cohort was given."""
    document = _document(told)
    reported = {name: update.version for name, update in device.updates.items() if update.version}
    runs = document.active.versions if document and document.active else reported
    seen, gone = device.metadata.last_seen_online, device.metadata.last_seen_offline
    view = DeviceView(
        name=device.name,
        id=device.id,
        cohort=device.cohort_id,
        status="current",
        online=seen is not None and (gone is None or seen > gone),
        seen=max((at for at in (seen, gone) if at), default=None),
        runs=_of(runs, release_packages),
        wanted=_of(wanted, release_packages),
        release=document.active.id if document and document.active else None,
    )
    status, why = _judged(view, device, document)
    return replace(view, status=status, why=why)


def _judged(view: DeviceView, device: Device, document: _StateDocument | None) -> tuple[str, str]:
    if not device.enabled:
        return "disabled", "shut out by the operator"
    if view.seen is None:
        return "awaited", "never connected"
    if not view.wanted:
        return "idle", "its cohort was given nothing" if view.cohort else "in no cohort"
    if view.runs == view.wanted:
        trial = document.state if document and document.state in _ON_TRIAL else ""
        return ("updating" if trial else "current"), trial
    if document is None:
        return _judged_by_reports(device)
    return _judged_by_document(document)


def _judged_by_document(document: _StateDocument) -> tuple[str, str]:
    error = document.last_error
    why = ": ".join(filter(None, (error.reason, error.detail))) if error else ""
    if document.state != "idle":
        return ("failing" if error else "updating"), why or document.state
    if error is None:
        return "stale", "has not begun with what its cohort was given"
    return ("rolled back" if error.reason in _ROLLED_BACK else "refused"), why


def _judged_by_reports(device: Device) -> tuple[str, str]:
    for update in device.updates.values():
        if update.reason_code not in _NO_DIFFICULTY:
            return "failing", f"{update.package}: {update.reason or update.reason_code}"
    return "stale", "" if device.updates else "has reported nothing"


def _document(told: Any) -> _StateDocument | None:
    # A device may write anything there; what is no such document counts as none.
    try:
        return _StateDocument.model_validate(told)
    except ValidationError:
        return None


def _of(versions: Versions, packages: tuple[str, ...]) -> Versions:
    return {name: versions[name] for name in packages if name in versions}


def _urgency(view: DeviceView) -> tuple[int, bool, str]:
    place = TROUBLES.index(view.status) if view.status in TROUBLES else len(TROUBLES)
    return place, view.online, view.name
