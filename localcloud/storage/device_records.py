"""From rows to devices: what the tables around them add."""

from __future__ import annotations

import json
from collections.abc import Sequence

from localcloud.model import Device, DeviceMetadata, SettingsSync
from localcloud.storage.database import Database, Row, values_marks
from localcloud.storage.settings import sync_states


def device_records(database: Database, rows: Sequence[Row]) -> list[Device]:
    """The devices of these rows of ``devices``, in their order."""
    ids = [row["id"] for row in rows]
    hardware = _listed(database, "hardware_ids", "hardware_id", ids)
    tags = _listed(database, "device_tags", "tag_id", ids)
    synced = sync_states(database, ids)
    return [_record(row, hardware[row["id"]], tags[row["id"]], synced[row["id"]]) for row in rows]


def _listed(
    database: Database, table: str, column: str, ids: Sequence[str]
) -> dict[str, list[str]]:
    """What a table lists for each device, in the order it was given. Names come from code."""
    found: dict[str, list[str]] = {device_id: [] for device_id in ids}
    for row in database.rows(
        f"SELECT device_id, {column} AS item FROM {table}"  # noqa: S608 - names from code
        f" WHERE device_id IN ({values_marks(ids)}) ORDER BY position",
        *ids,
    ):
        found[row["device_id"]].append(row["item"])
    return found


def _record(row: Row, hardware_ids: list[str], tag_ids: list[str], synced: SettingsSync) -> Device:
    return Device(
        id=row["id"],
        name=row["name"],
        hardware_ids=hardware_ids,
        tag_ids=tag_ids,
        blueprint_id=row["blueprint_id"],
        cohort_id=row["cohort_id"],
        certificate_id=row["certificate_id"],
        enabled=bool(row["enabled"]),
        last_report=row["last_report"],
        metadata=DeviceMetadata(
            last_report=row["last_report"],
            last_seen_online=row["last_report"],
            last_seen_offline=row["last_seen_offline"],
            last_settings_status=synced,
            update=json.loads(row["update_status"]),
        ),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
