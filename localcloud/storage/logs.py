"""Log lines of devices. Only ever appended."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.identifiers import format_timestamp, timestamp
from localcloud.model import LogEntry
from localcloud.storage.database import Conditions, Database, Paging, Row

LOG_RETENTION_DAYS = 14  # Golioth: logs are kept for two weeks


@dataclass(frozen=True)
class LogFilter:
    """Narrows a list of log lines; None means any."""

    device_id: str | None = None
    level: str | None = None
    module: str | None = None
    term: str | None = None
    start: str | None = None
    end: str | None = None
    tag_ids: Sequence[str] = ()


class Logs:
    """Log lines of devices."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(
        self,
        project_id: str,
        device_id: str,
        *,
        level: str,
        module: str,
        message: str,
        metadata: Mapping[str, object],
        kind: str = "LOGGING",
    ) -> None:
        """Append a line; ``level`` is NONE, DEBUG, INFO, WARN or ERROR."""
        self._db.insert(
            "logs",
            {
                "project_id": project_id,
                "device_id": device_id,
                "level": level,
                "module": module,
                "message": message,
                "metadata": json.dumps(metadata),
                "type": kind,
                "timestamp": timestamp(),
            },
        )

    def page(
        self, project_id: str, wanted: LogFilter, paging: Paging
    ) -> tuple[list[LogEntry], int]:
        """One page of lines, newest first."""
        conditions = Conditions.within(project_id, wanted.device_id)
        conditions.add_given("level = ?", wanted.level)
        conditions.add_given("module = ?", wanted.module)
        conditions.add_given("instr(lower(message), lower(?))", wanted.term)
        conditions.add_given("timestamp >= ?", wanted.start)
        conditions.add_given("timestamp < ?", wanted.end)
        for tag_id in wanted.tag_ids:
            conditions.add(
                "device_id IN (SELECT device_id FROM device_tags WHERE tag_id = ?)", tag_id
            )
        rows, total = self._db.page("logs", conditions, "id DESC", paging)
        return [_log_entry(row) for row in rows], total

    def expire(self) -> None:
        """Drop lines older than the retention."""
        horizon = time.time_ns() - LOG_RETENTION_DAYS * 86_400 * 1_000_000_000
        self._db.execute("DELETE FROM logs WHERE timestamp < ?", format_timestamp(horizon))


def _log_entry(row: Row) -> LogEntry:
    metadata: dict[str, Any] = json.loads(row["metadata"])
    return LogEntry.model_validate(
        {**row, "metadata": metadata, "device_id_legacy": row["device_id"]}
    )
