"""LightDB Stream: what devices sent, with its time. Only ever appended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from localcloud.identifiers import format_timestamp, timestamp
from localcloud.model import StreamEntry
from localcloud.storage.database import Conditions, Database, Paging, Row
from protocol.formats import PlainValue
from protocol.values import encode_value

STREAM_RETENTION_DAYS = 30  # Golioth: what is kept without paying for more


@dataclass(frozen=True)
class StreamFilter:
    """Narrows the entries; None means any. Times as :func:`timestamp` writes them.

    ``path`` is exact, without slashes at its ends.
    """

    device_ids: Sequence[str] | None = None
    start: str | None = None
    end: str | None = None
    path: str | None = None


class Stream:
    """Entries of all devices.

    Golioth leaves routing to a project's pipelines; this cloud does what its documented example
    does for every path: take JSON (or CBOR turned into it), inject the path, keep it by arrival.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, project_id: str, device_id: str, path: Sequence[str], value: PlainValue) -> None:
        """Append an entry: the value nested under its path. CodecError where that is too deep."""
        for segment in reversed(path):
            value = {segment: value}
        self._db.insert(
            "stream",
            {
                "project_id": project_id,
                "device_id": device_id,
                "path": "/".join(path),
                "data": encode_value(value).decode(),
                "timestamp": timestamp(),
            },
        )

    def page(
        self, project_id: str, wanted: StreamFilter, paging: Paging
    ) -> tuple[list[StreamEntry], int]:
        """One page, newest first, and how many entries match."""
        rows, total = self._db.page("stream", _conditions(project_id, wanted), "id DESC", paging)
        return [_entry(row) for row in rows], total

    def entries(self, project_id: str, wanted: StreamFilter) -> Iterator[StreamEntry]:
        """All entries that match, newest first, one at a time; see :meth:`Database.each`."""
        conditions = _conditions(project_id, wanted)
        for row in self._db.each(
            f"SELECT * FROM stream WHERE {conditions.where} ORDER BY id DESC",  # noqa: S608
            *conditions.values,
        ):
            yield _entry(row)

    def ids(
        self,
        project_id: str,
        wanted: StreamFilter,
        accepts: Callable[[StreamEntry], bool],
        needed_paths: Iterable[Sequence[str]],
    ) -> list[int]:
        """The numbers of the entries that pass, newest first.

        Entries without a value at each of ``needed_paths`` can't pass: the database leaves them out
        before anything of them is read, pictures for example.
        """
        conditions = _conditions(project_id, wanted)
        for path in needed_paths:
            place = "".join(f'."{segment}"' for segment in path)
            conditions.add("json_type(data, ?) IS NOT NULL", f"${place}")
        rows = self._db.each(
            f"SELECT * FROM stream WHERE {conditions.where} ORDER BY id DESC",  # noqa: S608
            *conditions.values,
        )
        return [row["id"] for row in rows if accepts(_entry(row))]

    def of_ids(self, ids: Sequence[int]) -> list[StreamEntry]:
        """Those entries, newest first; one that is gone meanwhile is left out."""
        rows = self._db.rows(
            "SELECT * FROM stream WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC",
            json.dumps(list(ids)),
        )
        return [_entry(row) for row in rows]

    def expire(self) -> None:
        """Drop entries older than the retention."""
        horizon = time.time_ns() - STREAM_RETENTION_DAYS * 86_400 * 1_000_000_000
        # By project, because the index of times is by project.
        self._db.execute(
            "DELETE FROM stream WHERE project_id IN (SELECT id FROM projects) AND timestamp < ?",
            format_timestamp(horizon),
        )


def _conditions(project_id: str, wanted: StreamFilter) -> Conditions:
    ids = wanted.device_ids
    device_id = ids[0] if ids is not None and len(ids) == 1 else None
    if wanted.path is None:
        conditions = Conditions.within(project_id, device_id)
    else:
        conditions = Conditions(project_id=project_id, path=wanted.path)
        conditions.add_given("device_id = ?", device_id)
    if ids is not None and device_id is None:
        # A JSON array, so that the number of devices does not matter.
        conditions.add("device_id IN (SELECT value FROM json_each(?))", json.dumps(list(ids)))
    # What one device has at a path is found by that, not among what all have in this time.
    time_column = "timestamp" if device_id is None or wanted.path is None else "+timestamp"
    conditions.add_given(f"{time_column} >= ?", wanted.start)
    conditions.add_given(f"{time_column} < ?", wanted.end)
    return conditions


def _entry(row: Row) -> StreamEntry:
    return StreamEntry(
        time=row["timestamp"],
        device_id=row["device_id"],
        device_id_legacy=row["device_id"],
        data=json.loads(row["data"]),
    )
