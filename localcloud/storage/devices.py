"""Devices, and which one of them a handshake speaks for."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from localcloud.changes import Changes, Topic
from localcloud.errors import InvalidArgument, NotFound
from localcloud.identifiers import check_object_id, object_id, timestamp
from localcloud.model import Device
from localcloud.storage.database import Conditions, Database, Paging, unique
from localcloud.storage.device_records import device_records
from localcloud.storage.groups import check_tags
from localcloud.storage.settings import Scope, count_change

MAX_REPORTED_PACKAGES = 64


@dataclass(frozen=True)
class DeviceFilter:
    """Narrows a list of devices; None means any."""

    name: str | None = None
    hardware_id: str | None = None
    cohort_id: str | None = None
    enabled: bool | None = None
    term: str | None = None
    blueprint_id: str | None = None
    tag_ids: Sequence[str] = ()


@dataclass
class DeviceUpdate:
    """What to change; None leaves a field alone, an empty ``cohort_id`` leaves the cohort.

    The same goes for ``blueprint_id``.
    """

    name: str | None = None
    enabled: bool | None = None
    cohort_id: str | None = None
    hardware_ids: list[str] | None = None
    add_hardware_ids: list[str] = field(default_factory=list)
    remove_hardware_ids: list[str] = field(default_factory=list)
    blueprint_id: str | None = None
    tag_ids: list[str] | None = None
    add_tag_ids: list[str] = field(default_factory=list)
    remove_tag_ids: list[str] = field(default_factory=list)


class Devices:
    """The devices of all projects; every call names the project it may touch."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._db = database
        self._changes = changes

    def create(
        self,
        project_id: str,
        name: str,
        hardware_ids: Iterable[str] = (),
        cohort_id: str = "",
        *,
        blueprint_id: str = "",
        tag_ids: Sequence[str] = (),
    ) -> Device:
        """A new device; a hardware id is made up when none is given."""
        if not name:
            raise InvalidArgument("a device needs a name")
        self._check_cohort(project_id, cohort_id)
        self._check_blueprint(project_id, blueprint_id)
        tags = check_tags(self._db, project_id, tag_ids)
        groups = {"cohort_id": cohort_id or None, "blueprint_id": blueprint_id or None}
        with self._db.atomic():
            device_id = self._insert(project_id, name, list(hardware_ids), **groups)
            self._replace_tags(device_id, tags)
        return self.get(project_id, device_id)

    def get(self, project_id: str, device_id: str) -> Device:
        """One device, or NotFound."""
        row = self._db.one(
            f"device not found: {device_id}",
            "SELECT * FROM devices WHERE project_id = ? AND id = ?",
            *(project_id, check_object_id(device_id)),
        )
        return device_records(self._db, [row])[0]

    def page(
        self, project_id: str, wanted: DeviceFilter, paging: Paging
    ) -> tuple[list[Device], int]:
        """One page of devices in the order they were made, and how many match."""
        conditions = Conditions(project_id=project_id)
        conditions.add_given("name = ?", wanted.name)
        conditions.add_given("cohort_id = ?", wanted.cohort_id)
        conditions.add_given("enabled = ?", wanted.enabled)
        conditions.add_given("blueprint_id = ?", wanted.blueprint_id)
        for tag_id in wanted.tag_ids:
            conditions.add("id IN (SELECT device_id FROM device_tags WHERE tag_id = ?)", tag_id)
        conditions.add_given(
            "id IN (SELECT device_id FROM hardware_ids WHERE hardware_id = ?)", wanted.hardware_id
        )
        if wanted.term:
            conditions.add(
                "(instr(lower(name), lower(?)) OR id IN (SELECT device_id FROM hardware_ids"
                " WHERE instr(lower(hardware_id), lower(?))))",
                *(wanted.term, wanted.term),
            )
        rows, total = self._db.page("devices", conditions, "rowid", paging)
        return device_records(self._db, rows), total

    def update(self, project_id: str, device_id: str, change: DeviceUpdate) -> Device:
        """Change a device. Joining a cohort pushes its manifest; leaving one does not (Golioth)."""
        before = self.get(project_id, device_id)
        cohort_id = before.cohort_id if change.cohort_id is None else change.cohort_id or None
        self._check_cohort(project_id, cohort_id or "")
        blueprint_id = (
            before.blueprint_id if change.blueprint_id is None else change.blueprint_id or None
        )
        self._check_blueprint(project_id, blueprint_id or "")
        tags = check_tags(self._db, project_id, _tags_after(before, change))
        with self._db.atomic(), unique(f"device name already in use: {change.name}"):
            self._db.execute(
                "UPDATE devices SET name = ?, enabled = ?, cohort_id = ?, blueprint_id = ?,"
                " updated_at = ? WHERE id = ?",
                change.name or before.name,
                before.enabled if change.enabled is None else change.enabled,
                *(cohort_id, blueprint_id, timestamp(), device_id),
            )
            self._replace_hardware(project_id, device_id, _hardware_after(before, change))
            self._replace_tags(device_id, tags)
            if blueprint_id != before.blueprint_id:
                count_change(self._db, self._changes, project_id, Scope(device_id))
        if cohort_id and cohort_id != before.cohort_id:
            self._changes.publish(Topic.MANIFEST, device_id)
        if change.enabled is False:
            self._changes.publish(Topic.ACCESS, device_id)
        return self.get(project_id, device_id)

    def delete(self, project_id: str, device_id: str) -> None:
        """Remove a device and everything that is kept about it."""
        self.get(project_id, device_id)
        self._db.execute("DELETE FROM devices WHERE id = ?", device_id)
        self._changes.publish(Topic.ACCESS, device_id)

    def for_certificate(self, project_id: str, certificate_id: str) -> Device:
        """The device a certificate speaks for, made on first contact.

        Golioth: by ``certificateId``; else by a name that no certificate has claimed, which is
        claimed now; else a new device, with a random suffix to its name if that is taken.
        """
        columns = "SELECT id FROM devices WHERE project_id = ? AND "
        row = self._db.row(f"{columns}certificate_id = ?", project_id, certificate_id)
        if row is None:
            row = self._db.row(
                f"{columns}name = ? AND certificate_id IS NULL", project_id, certificate_id
            )
            if row is not None:
                self._db.execute(
                    "UPDATE devices SET certificate_id = ?, updated_at = ? WHERE id = ?",
                    *(certificate_id, timestamp(), row["id"]),
                )
        device_id = row["id"] if row else self._create_zero_touch(project_id, certificate_id)
        return self.get(project_id, device_id)

    def set_update_status(self, device_id: str, package: str, status: dict[str, str]) -> None:
        """Remember the latest report about a package in ``metadata.update``."""
        row = self._db.row("SELECT update_status FROM devices WHERE id = ?", device_id)
        known = json.loads(row["update_status"]) if row else {}
        known.pop(package, None)
        # The newest stay: a device must not be able to fill the database with package names.
        newest = dict([*known.items(), (package, status)][-MAX_REPORTED_PACKAGES:])
        self._db.execute(
            "UPDATE devices SET update_status = ? WHERE id = ?", json.dumps(newest), device_id
        )

    def record_contact(self, device_id: str, last_report: str) -> None:
        """Remember when the device was last heard."""
        self._db.execute("UPDATE devices SET last_report = ? WHERE id = ?", last_report, device_id)

    def record_offline(self, device_id: str, at: str) -> None:
        """Remember when the last session ended."""
        self._db.execute("UPDATE devices SET last_seen_offline = ? WHERE id = ?", at, device_id)

    def _create_zero_touch(self, project_id: str, certificate_id: str) -> str:
        taken = self._db.row(
            "SELECT 1 FROM devices WHERE project_id = ? AND name = ?", project_id, certificate_id
        )
        name = f"{certificate_id}-{secrets.token_hex(4)}" if taken else certificate_id
        return self._insert(project_id, name, [], certificate_id=certificate_id)

    def _insert(
        self, project_id: str, name: str, hardware_ids: list[str], **columns: str | None
    ) -> str:
        device_id, now = object_id(), timestamp()
        row = {"id": device_id, "project_id": project_id, "name": name, **columns}
        with self._db.atomic(), unique(f"device name already in use: {name}"):
            self._db.insert("devices", {**row, "created_at": now, "updated_at": now})
            self._replace_hardware(project_id, device_id, hardware_ids or [secrets.token_hex(8)])
        return device_id

    def _replace_hardware(self, project_id: str, device_id: str, hardware_ids: list[str]) -> None:
        self._db.execute("DELETE FROM hardware_ids WHERE device_id = ?", device_id)
        for position, hardware_id in enumerate(dict.fromkeys(hardware_ids)):
            with unique(f"hardware id already in use: {hardware_id}"):
                self._db.execute(
                    "INSERT INTO hardware_ids VALUES (?, ?, ?, ?)",
                    *(project_id, hardware_id, device_id, position),
                )

    def _replace_tags(self, device_id: str, tag_ids: Sequence[str]) -> None:
        self._db.execute("DELETE FROM device_tags WHERE device_id = ?", device_id)
        for position, tag_id in enumerate(tag_ids):
            self._db.execute(
                "INSERT INTO device_tags VALUES (?, ?, ?)", device_id, tag_id, position
            )

    def _check_blueprint(self, project_id: str, blueprint_id: str) -> None:
        if blueprint_id and not self._db.row(
            "SELECT 1 FROM blueprints WHERE project_id = ? AND id = ?",
            *(project_id, check_object_id(blueprint_id)),
        ):
            raise NotFound(f"blueprint not found: {blueprint_id}")

    def _check_cohort(self, project_id: str, cohort_id: str) -> None:
        if cohort_id and not self._db.row(
            "SELECT 1 FROM cohorts WHERE project_id = ? AND id = ?", project_id, cohort_id
        ):
            raise NotFound(f"cohort not found: {cohort_id}")


def _hardware_after(before: Device, change: DeviceUpdate) -> list[str]:
    start = before.hardware_ids if change.hardware_ids is None else change.hardware_ids
    kept = [h for h in start if h not in change.remove_hardware_ids]
    return kept + change.add_hardware_ids


def _tags_after(before: Device, change: DeviceUpdate) -> list[str]:
    start = before.tag_ids if change.tag_ids is None else change.tag_ids
    return [t for t in start + change.add_tag_ids if t not in change.remove_tag_ids]
