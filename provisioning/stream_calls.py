"""LightDB Stream: what devices sent, read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from provisioning.project_api import ProjectApi, given, read, segment
from provisioning.resources import StreamEntry


class StreamCalls(ProjectApi):
    """The calls about what devices stream."""

    def stream(
        self,
        path: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        device_id: str | None = None,
    ) -> Iterator[StreamEntry]:
        """What arrived below ``.s/<path>``, of one device or all, the newest first.

        Only documents with a ``format`` number are given, as all of Edgeferry's have. ``start`` and
        ``end`` are times of arrival, with a zone; give an ``end`` where pages must not shift while
        they are read. What is given may hold repetitions: devices deliver at least once.
        """
        place = path.strip("/").replace("/", ".")
        query = {
            "fields": [
                {"path": "time"},
                {"path": "deviceId"},
                {"path": place, "alias": "document"},
            ],
            # Golioth: such a filter compares numbers, and leaves out what is none.
            "filters": [{"path": f"{place}.format", "op": ">=", "value": 0}],
        }
        asked = {
            "encodedQuery": json.dumps(query),
            "start": _rfc3339(start) if start else None,
            "end": _rfc3339(end) if end else None,
        }
        where = f"/devices/{segment(device_id)}/stream" if device_id else "/stream"
        where = self._in_project(where)
        for entry in self._api.pages(where, given(asked)):
            yield read(StreamEntry, entry, f"GET {where}")


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
