"""Settings of projects and devices, and what devices made of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass

from localcloud.changes import Changes, Topic
from localcloud.errors import InvalidArgument, NotFound
from localcloud.identifiers import check_object_id, object_id, timestamp
from localcloud.model import Setting, SettingsSync
from localcloud.storage.database import Conditions, Database, Row, unique, values_marks
from protocol.device_settings import DeviceSettings, SettingsStatus, is_setting_key
from protocol.formats import PlainValue, plain_value

DATA_TYPES = ("integer", "float", "boolean", "string")
MAX_STRING = 1024


@dataclass(frozen=True)
class Scope:
    """Whom a setting is for: a device, a blueprint's devices, or with neither the whole project."""

    device_id: str | None = None
    blueprint_id: str | None = None


PROJECT = Scope()


class Settings:
    """Golioth: made for the project first; a blueprint's own value goes before it, a device's last.

    A device's own value goes before its blueprint's.
    """

    def __init__(self, database: Database, changes: Changes) -> None:
        self._db = database
        self._changes = changes

    def create(
        self, project_id: str, key: str, data_type: str, value: object, scope: Scope = PROJECT
    ) -> Setting:
        """A new setting, or a device's or blueprint's own value for one of the project."""
        if not is_setting_key(key):
            raise InvalidArgument(f"key {key!r}: use 1 to 63 of A-Z, 0-9 and '_'")
        if scope != PROJECT:
            data_type = self._overridden(project_id, key).data_type
        now = timestamp()
        row = {
            "id": object_id(),
            "project_id": project_id,
            "device_id": scope.device_id,
            "blueprint_id": scope.blueprint_id,
            "key": key,
            "data_type": data_type,
            "value": json.dumps(typed_value(data_type, value)),
            "created_at": now,
            "updated_at": now,
        }
        with unique(f"setting already exists: {key}"), self._db.atomic():
            self._db.insert("settings", row)
            count_change(self._db, self._changes, project_id, scope)
        return _setting(row)

    def get(self, project_id: str, setting_id: str) -> Setting:
        """One setting, or NotFound."""
        row = self._db.one(
            f"setting not found: {setting_id}",
            "SELECT * FROM settings WHERE project_id = ? AND id = ?",
            *(project_id, check_object_id(setting_id)),
        )
        return _setting(row)

    def of(self, project_id: str, scope: Scope = PROJECT) -> list[Setting]:
        """The project's own settings, or a device's or blueprint's own values."""
        conditions = Conditions(project_id=project_id)
        conditions.add("device_id IS ?", scope.device_id)
        conditions.add("blueprint_id IS ?", scope.blueprint_id)
        rows = self._db.rows(
            f"SELECT * FROM settings WHERE {conditions.where} ORDER BY key",  # noqa: S608
            *conditions.values,
        )
        return [_setting(row) for row in rows]

    def effective(self, project_id: str, device_id: str) -> list[Setting]:
        """What holds for a device, by key."""
        row = self._db.row("SELECT blueprint_id FROM devices WHERE id = ?", device_id)
        scopes = [PROJECT, Scope(device_id)]
        if row and row["blueprint_id"]:
            scopes.insert(1, Scope(blueprint_id=row["blueprint_id"]))
        return list({s.key: s for scope in scopes for s in self.of(project_id, scope)}.values())

    def for_device(self, device_id: str) -> DeviceSettings:
        """What a device is to be sent."""
        row = self._db.row(
            "SELECT project_id, max(projects.settings_version, devices.settings_version) AS version"
            " FROM devices JOIN projects ON projects.id = project_id WHERE devices.id = ?",
            device_id,
        )
        if row is None:
            return DeviceSettings()
        values = {s.key: s.value for s in self.effective(row["project_id"], device_id)}
        return DeviceSettings(row["version"], values)

    def change(self, project_id: str, setting_id: str, value: object) -> Setting:
        """Another value; key and type stay (Golioth)."""
        before = self.get(project_id, setting_id)
        encoded = json.dumps(typed_value(before.data_type, value))
        with self._db.atomic():
            self._db.execute(
                "UPDATE settings SET value = ?, updated_at = ? WHERE id = ?",
                *(encoded, timestamp(), setting_id),
            )
            count_change(self._db, self._changes, project_id, _scope(before))
        return self.get(project_id, setting_id)

    def delete(self, project_id: str, setting_id: str) -> None:
        """Remove a setting. With a project's all other values for it go too."""
        setting = self.get(project_id, setting_id)
        of_project = _scope(setting) == PROJECT
        with self._db.atomic():
            self._db.execute(
                "DELETE FROM settings WHERE project_id = ? AND key = ? AND (? OR id = ?)",
                *(project_id, setting.key, of_project, setting_id),
            )
            count_change(self._db, self._changes, project_id, _scope(setting))

    def record_status(self, device_id: str, status: SettingsStatus) -> None:
        """Remember a device's verdict."""
        document = {
            "version": status.version,
            "time": timestamp(),
            "errors": [{"key": error.key, "code": int(error.code)} for error in status.errors],
        }
        self._db.execute(
            "UPDATE devices SET settings_status = ? WHERE id = ?", json.dumps(document), device_id
        )

    def _overridden(self, project_id: str, key: str) -> Setting:
        found = next((s for s in self.of(project_id) if s.key == key), None)
        if found is None:
            raise NotFound(f"setting not found: create {key} for the project first")
        return found


def count_change(database: Database, changes: Changes, project_id: str, scope: Scope) -> None:
    """Raise the version of the settings of whom a change concerns, and tell those devices."""
    now = time.time_ns() // 1_000_000
    concerned = Conditions(project_id=project_id)
    concerned.add_given("id = ?", scope.device_id)
    concerned.add_given("blueprint_id = ?", scope.blueprint_id)
    if scope == PROJECT:
        database.execute(
            "UPDATE projects SET settings_version = max(settings_version + 1, ?, coalesce((SELECT"
            " max(settings_version) + 1 FROM devices WHERE project_id = projects.id), 0))"
            " WHERE id = ?",
            *(now, project_id),
        )
    else:
        database.execute(
            "UPDATE devices SET settings_version = max(settings_version + 1,"  # noqa: S608
            " ?, (SELECT settings_version + 1 FROM projects WHERE id = project_id))"
            f" WHERE {concerned.where}",
            *(now, *concerned.values),
        )
    for row in database.rows(
        f"SELECT id FROM devices WHERE {concerned.where}",  # noqa: S608 - text from code
        *concerned.values,
    ):
        changes.publish(Topic.SETTINGS, row["id"])


def typed_value(data_type: str, value: object) -> PlainValue:
    """The value in its type; whole numbers are floats where one is asked.

    Raises InvalidArgument, and CodecError for what no device could be sent: one infinite number
    would take all other settings away from every device.
    """
    if data_type not in DATA_TYPES:
        raise InvalidArgument(f"dataType {data_type!r}: use one of {', '.join(DATA_TYPES)}")
    value = plain_value(value, "value")
    if data_type == "boolean" and isinstance(value, bool):
        return value
    if data_type == "string" and isinstance(value, str) and len(value) <= MAX_STRING:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        if data_type == "integer":
            return value
        if data_type == "float":
            return float(value)
    if data_type == "float" and isinstance(value, float):
        return value
    raise InvalidArgument(f"value: not what dataType {data_type!r} can hold")


def sync_states(database: Database, device_ids: Iterable[str]) -> dict[str, SettingsSync]:
    """How each device stands to its settings (Golioth: ``metadata.lastSettingsStatus``)."""
    ids = list(device_ids)
    rows = database.rows(
        "SELECT devices.id, settings_status AS said,"  # noqa: S608 - marks only
        " max(projects.settings_version, devices.settings_version) AS version,"
        " EXISTS (SELECT 1 FROM settings WHERE settings.project_id = devices.project_id"
        "  AND (device_id IS NULL OR device_id = devices.id)) AS has_settings"
        " FROM devices JOIN projects ON projects.id = project_id"
        f" WHERE devices.id IN ({values_marks(ids)})",
        *ids,
    )
    return {row["id"]: _sync_state(row) for row in rows}


def _sync_state(row: Row) -> SettingsSync:
    said = json.loads(row["said"]) if row["said"] else {}
    version = said.get("version")
    return SettingsSync(
        **_status_and_detail(row, said),
        sync_time=said.get("time"),
        reported_version=None if version is None else str(version),
        errors=said.get("errors", []),
    )


def _status_and_detail(row: Row, said: Row) -> dict[str, str]:
    if not row["has_settings"]:
        return {"status": "no-settings", "status_detail": "there are no settings"}
    if said.get("version") != row["version"]:
        return {"status": "out-of-sync", "status_detail": "the device has not answered yet"}
    if said["errors"]:
        return {"status": "out-of-sync", "status_detail": "the device refused some settings"}
    return {"status": "in-sync", "status_detail": "the device uses all settings"}


def _scope(setting: Setting) -> Scope:
    return Scope(setting.device_id, setting.blueprint_id)


def _setting(row: Row) -> Setting:
    return Setting.model_validate({**row, "value": json.loads(row["value"])})
