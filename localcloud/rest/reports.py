"""What devices reported: OTA events and logs (OpenAPI: OTAEvents, Logs)."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from localcloud.identifiers import parse_timestamp
from localcloud.rest.access import OwnedProjectDep, PagingDep, ProjectDep, StoreDep
from localcloud.rest.answers import Answer, many
from localcloud.storage.events import EventFilter, LogFilter

router = APIRouter()

_DEFAULT_EVENTS = 100


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
) -> Answer:
    """Log lines, newest first; level NONE means any."""
    wanted = LogFilter(
        device_id, None if level == "NONE" else level, module, term, _moment(start), _moment(end)
    )
    return many(*store.logs.page(project, wanted, paging), paging)


def _moment(text: str | None) -> str | None:
    return None if text is None else parse_timestamp(text)
