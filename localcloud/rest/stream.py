"""Reading LightDB Stream (OpenAPI: DeviceStream)."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from localcloud.errors import InvalidArgument
from localcloud.identifiers import format_timestamp, parse_timestamp
from localcloud.rest.access import ProjectDep, StoreDep
from localcloud.rest.answers import Answer, many
from localcloud.rest.bodies import StreamQueryBody, StreamRange
from localcloud.storage.database import Paging
from localcloud.storage.store import Store
from localcloud.storage.stream import StreamFilter
from localcloud.stream_query import StreamQuery, duration_seconds, parse_query

router = APIRouter(prefix="/projects/{project_id}")

_DEVICE = "/devices/{device_id}/stream"


@router.get(_DEVICE)
async def read_device_stream(
    device_id: str,
    store: StoreDep,
    project: ProjectDep,
    asked: Annotated[StreamRange, Query()],
) -> Answer:
    """One device's entries, newest first."""
    device = store.devices.get(project, device_id)
    return _read(store, project, [device.id], asked)


@router.post(_DEVICE)
async def query_device_stream(
    device_id: str, body: StreamQueryBody, store: StoreDep, project: ProjectDep
) -> Answer:
    """As above, with the query in the body."""
    device = store.devices.get(project, device_id)
    return _read(store, project, [device.id], body, body.query)


@router.get("/stream")
async def read_project_stream(
    store: StoreDep, project: ProjectDep, asked: Annotated[StreamRange, Query()]
) -> Answer:
    """All devices' entries, or those of some, newest first."""
    return _read(store, project, asked.device_id or None, asked)


@router.post("/stream")
async def query_project_stream(
    body: StreamQueryBody, store: StoreDep, project: ProjectDep
) -> Answer:
    """As above, with the query in the body."""
    return _read(store, project, body.device_id or None, body, body.query)


def _read(
    store: Store,
    project: str,
    device_ids: Sequence[str] | None,
    asked: StreamRange,
    document: object = None,
) -> Answer:
    paging = Paging(asked.page, asked.per_page)
    wanted = StreamFilter(device_ids, *_times(asked))
    query = _query(asked, document)
    if query is None:
        return many(*store.stream.page(project, wanted, paging), paging)
    if query.aggregates:
        found = query.run(store.stream.entries(project, wanted))
        start = paging.page * paging.per_page
        rows, total = found[start : start + paging.per_page], len(found)
    else:
        entries, total = store.stream_pages.page(project, wanted, query, paging)
        rows = query.run(entries)
    return {"list": rows, "page": paging.page, "perPage": paging.per_page, "total": total}


def _times(asked: StreamRange) -> tuple[str | None, str | None]:
    start = parse_timestamp(asked.start) if asked.start else None
    end = parse_timestamp(asked.end) if asked.end else None
    if asked.interval:
        back = duration_seconds("interval", asked.interval)
        start = format_timestamp(max(0, time.time_ns() - int(back * 1e9)))
    return start, end


def _query(asked: StreamRange, document: object) -> StreamQuery | None:
    if asked.encoded_query:
        try:
            document = json.loads(asked.encoded_query)
        except (ValueError, RecursionError) as error:
            raise InvalidArgument(f"encodedQuery: no JSON ({error})") from error
    return None if document is None else parse_query(document)
