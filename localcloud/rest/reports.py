"""What devices reported (OpenAPI: OTAEvents, FirmwareLogs, Logs)."""

from __future__ import annotations

import math
import time
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from localcloud.errors import InvalidArgument
from localcloud.identifiers import format_timestamp, parse_timestamp, unix_seconds
from localcloud.rest.access import OwnedProjectDep, PagingDep, ProjectDep, StoreDep
from localcloud.rest.answers import Answer, many
from localcloud.storage.events import EventFilter, FirmwareFilter, Window
from localcloud.storage.logs import LogFilter

router = APIRouter()

_DEFAULT_EVENTS = 100
_DEFAULT_PARTS = 24
_DAY = 86_400


@router.get("/organizations/{organization_id}/projects/{project_id}/ota-events")
async def list_ota_events(
    store: StoreDep,
    project: OwnedProjectDep,
    cohort_id: Annotated[str | None, Query(alias="cohortId")] = None,
    package_id: Annotated[str | None, Query(alias="packageId")] = None,
    device_id: Annotated[str | None, Query(alias="deviceId")] = None,
    event_type: Annotated[str | None, Query(alias="eventType")] = None,
    status: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
    start: Annotated[str | None, Query(alias="startTime")] = None,
    end: Annotated[str | None, Query(alias="endTime")] = None,
    limit: Annotated[int, Query()] = _DEFAULT_EVENTS,
    page_token: Annotated[str, Query(alias="pageToken")] = "",
) -> Answer:
    """State reports about packages of active deployments, newest first."""
    wanted = EventFilter(
        device_id, cohort_id, package_id, event_type, status, _moment(start), _moment(end)
    )
    page = store.events.page(project, wanted, limit, page_token)
    return {
        "list": [event.shape() for event in page.events],
        "nextPageToken": page.next_token,
        "prevPageToken": page.previous_token,
    }


@router.get("/organizations/{organization_id}/projects/{project_id}/ota-events/stats")
async def count_ota_events(
    store: StoreDep,
    project: OwnedProjectDep,
    cohort_id: Annotated[str | None, Query(alias="cohortId")] = None,
    device_id: Annotated[str | None, Query(alias="deviceId")] = None,
    start: Annotated[str | None, Query(alias="startTime")] = None,
    end: Annotated[str | None, Query(alias="endTime")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = _DEFAULT_PARTS,
) -> Answer:
    """Events counted by type over time, in up to ``limit`` stretches; the last day if not said."""
    until = unix_seconds(parse_timestamp(end)) if end else math.ceil(time.time())
    since = unix_seconds(parse_timestamp(start)) if start else until - _DAY
    if since >= until:
        raise InvalidArgument("startTime is not before endTime")
    window = Window(since, until, step=math.ceil((until - since) / limit))
    wanted = EventFilter(device_id=device_id, cohort_id=cohort_id)
    return {
        "list": [part.shape() for part in store.events.stats(project, wanted, window)],
        "startTime": format_timestamp(since * 1_000_000_000),
        "endTime": format_timestamp(until * 1_000_000_000),
    }


@router.get("/projects/{project_id}/firmware/logs")
async def list_firmware_logs(
    store: StoreDep,
    project: ProjectDep,
    paging: PagingDep,
    version: Annotated[str | None, Query()] = None,
    target: Annotated[str | None, Query()] = None,
    state: Annotated[str | None, Query()] = None,
    reason: Annotated[str | None, Query()] = None,
    device_id: Annotated[list[str] | None, Query(alias="deviceId", max_length=100)] = None,
    start: Annotated[str | None, Query()] = None,
    end: Annotated[str | None, Query()] = None,
) -> Answer:
    """The state reports once more, in the shape they had before there were OTA events."""
    wanted = FirmwareFilter(
        version, target, state, reason, device_id or (), _moment(start), _moment(end)
    )
    return many(*store.events.firmware_page(project, wanted, paging), paging)


@router.get("/projects/{project_id}/logs")
async def list_logs(
    store: StoreDep,
    project: ProjectDep,
    paging: PagingDep,
    device_id: Annotated[str | None, Query(alias="deviceId")] = None,
    start: Annotated[str | None, Query()] = None,
    end: Annotated[str | None, Query()] = None,
    module: Annotated[str | None, Query()] = None,
    level: Annotated[Literal["NONE", "DEBUG", "INFO", "WARN", "ERROR"], Query()] = "NONE",
    term: Annotated[str | None, Query()] = None,
    tags: Annotated[list[str] | None, Query(max_length=100)] = None,
) -> Answer:
    """Log lines, newest first; level NONE means any, and of several tags a device has all."""
    given = None if level == "NONE" else level
    wanted = LogFilter(
        device_id, given, module, term, _moment(start), _moment(end), tuple(tags or ())
    )
    return many(*store.logs.page(project, wanted, paging), paging)


def _moment(text: str | None) -> str | None:
    return None if text is None else parse_timestamp(text)
