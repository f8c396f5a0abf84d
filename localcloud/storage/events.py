"""State reports of devices: OTA events, only ever appended."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from localcloud.errors import InvalidArgument
from localcloud.identifiers import format_timestamp, timestamp
from localcloud.model import EventCount, EventStats, FirmwareLog, OtaEvent
from localcloud.storage.database import Conditions, Database, Paging, Row, values_marks
from protocol.report import OtaReport, OtaState

MAX_EVENTS = 1000

_NANO = 1_000_000_000

_TOKEN = re.compile(r"(older|newer)-(\d{1,18})\Z")


@dataclass(frozen=True)
class EventFilter:
    """Narrows a list of OTA events; None means any. Times as :func:`timestamp` writes them."""

    device_id: str | None = None
    cohort_id: str | None = None
    package: str | None = None
    event_type: str | None = None
    status: int | None = None
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True)
class FirmwareFilter:
    """Narrows the older feed; None means any. ``reason`` is the text or the number."""

    version: str | None = None
    target: str | None = None
    state: str | None = None
    reason: str | None = None
    device_ids: Sequence[str] = ()
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True)
class Window:
    """The time from ``start`` to before ``end`` (Unix seconds), in stretches of ``step``."""

    start: int
    end: int
    step: int

    @property
    def parts(self) -> int:
        """How many stretches there are; the last may reach beyond the end."""
        return math.ceil((self.end - self.start) / self.step)


@dataclass(frozen=True)
class EventPage:
    """Events, newest first; a token is empty when there is nothing on that side."""

    events: list[OtaEvent]
    next_token: str
    previous_token: str


class OtaEvents:
    """State reports about packages of active deployments."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, project_id: str, device_id: str, cohort_id: str, report: OtaReport) -> None:
        """Record a report; one that repeats the device's last about the package is dropped."""
        event = {
            "event_type": report.state.name,
            "status": int(report.reason),
            "current_version": report.version or "",
            "target_version": report.target or "",
        }
        last = self._db.row(
            "SELECT event_type, status, current_version, target_version FROM ota_events"
            " WHERE device_id = ? AND package = ? ORDER BY id DESC LIMIT 1",
            *(device_id, report.package),
        )
        if last is not None and dict(last) == event:
            return
        self._db.insert(
            "ota_events",
            {
                **event,
                "project_id": project_id,
                "device_id": device_id,
                "cohort_id": cohort_id,
                "package": report.package,
                "message": reason_text(report),
                "timestamp": timestamp(),
            },
        )

    def page(self, project_id: str, wanted: EventFilter, limit: int, token: str) -> EventPage:
        """One page, newest first, from a token of an earlier page on."""
        if not 1 <= limit <= MAX_EVENTS:
            raise InvalidArgument(f"limit is {limit}; it must be 1 to {MAX_EVENTS}")
        matching = _event_conditions(project_id, wanted)
        page = _event_conditions(project_id, wanted)
        side, mark = _parse_token(token)
        if mark is not None:
            page.add("id > ?" if side == "newer" else "id < ?", mark)
        rows = self._db.rows(
            f"SELECT * FROM ota_events WHERE {page.where}"  # noqa: S608 - text from code
            f" ORDER BY id {'ASC' if side == 'newer' else 'DESC'} LIMIT ?",
            *(*page.values, limit),
        )
        rows.sort(key=lambda row: -row["id"])
        return EventPage(
            [_event(row) for row in rows],
            self._token("older", "id < ?", rows[-1], matching) if rows else "",
            self._token("newer", "id > ?", rows[0], matching) if rows and token else "",
        )

    def firmware_page(
        self, project_id: str, wanted: FirmwareFilter, paging: Paging
    ) -> tuple[list[FirmwareLog], int]:
        """One page of the same reports in the shape of the older feed, newest first."""
        conditions = Conditions(project_id=project_id)
        conditions.add_given("current_version = ?", wanted.version)
        conditions.add_given("target_version = ?", wanted.target)
        conditions.add_given("event_type = ?", wanted.state)
        conditions.add_given("? IN (message, status)", wanted.reason)
        if wanted.device_ids:
            marks = values_marks(wanted.device_ids)
            conditions.add(f"device_id IN ({marks})", *wanted.device_ids)
        conditions.add_given("timestamp >= ?", wanted.start)
        conditions.add_given("timestamp < ?", wanted.end)
        rows, total = self._db.page("ota_events", conditions, "id DESC", paging)
        return [_firmware_log(row) for row in rows], total

    def stats(self, project_id: str, wanted: EventFilter, window: Window) -> list[EventStats]:
        """Events counted by type in equal stretches of a window, the newest stretch first."""
        conditions = _event_conditions(project_id, wanted)
        conditions.add("timestamp >= ?", format_timestamp(window.start * _NANO))
        conditions.add("timestamp < ?", format_timestamp(window.end * _NANO))
        counted: dict[int, list[EventCount]] = {}
        for row in self._db.rows(
            "SELECT (CAST(strftime('%s', substr(timestamp, 1, 19)) AS INTEGER) - ?) / ? AS part,"  # noqa: S608
            " event_type, count(*) AS n FROM ota_events"
            f" WHERE {conditions.where} GROUP BY part, event_type ORDER BY event_type",
            *(window.start, window.step, *conditions.values),
        ):
            count = EventCount(event_type=row["event_type"], count=row["n"])
            counted.setdefault(row["part"], []).append(count)
        return [
            EventStats(
                timestamp=format_timestamp((window.start + part * window.step) * _NANO),
                duration=f"{window.step}s",
                stats=counted.get(part, []),
            )
            for part in reversed(range(window.parts))
        ]

    def _token(self, side: str, beyond: str, edge: Row, matching: Conditions) -> str:
        more = self._db.row(
            f"SELECT 1 FROM ota_events WHERE {matching.where} AND {beyond} LIMIT 1",  # noqa: S608
            *(*matching.values, edge["id"]),
        )
        return f"{side}-{edge['id']}" if more else ""


def reason_text(report: OtaReport) -> str:
    """A report's reason in words (Golioth: reason 0 is ``ready state``)."""
    return "ready state" if not report.reason else report.reason.name.replace("_", " ").lower()


def _event_conditions(project_id: str, wanted: EventFilter) -> Conditions:
    conditions = Conditions.within(project_id, wanted.device_id)
    conditions.add_given("cohort_id = ?", wanted.cohort_id)
    conditions.add_given("package = ?", wanted.package)
    conditions.add_given("event_type = ?", wanted.event_type)
    conditions.add_given("status = ?", wanted.status)
    conditions.add_given("timestamp >= ?", wanted.start)
    conditions.add_given("timestamp < ?", wanted.end)
    return conditions


def _parse_token(token: str) -> tuple[str, int | None]:
    if not token:
        return "older", None
    match = _TOKEN.match(token)
    if match is None:
        raise InvalidArgument(f"pageToken {token!r} is none of ours")
    return match[1], int(match[2])


def _event(row: Row) -> OtaEvent:
    return OtaEvent.model_validate({**row, "package_id": row["package"]})


def _firmware_log(row: Row) -> FirmwareLog:
    return FirmwareLog(
        device_id=row["device_id"],
        package=row["package"],
        version=row["current_version"],
        target=row["target_version"],
        state=row["event_type"],
        state_code=str(int(OtaState[row["event_type"]])),
        reason=row["message"],
        reason_code=str(row["status"]),
        time=row["timestamp"],
    )
