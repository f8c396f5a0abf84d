"""Queries of the stream, page by page, without looking through all of it for each page."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict

from localcloud.model import StreamEntry
from localcloud.storage.database import Paging
from localcloud.storage.stream import Stream, StreamFilter
from localcloud.stream_query import StreamQuery

REMEMBERED = 16
REMEMBERED_SECONDS = 15.0


class StreamPages:
    """Later pages show the entries that matched when the first page was asked for.

    That is remembered for a while, and only which entries they were. A page that nobody asked the
    first one before is found anew.
    """

    def __init__(self, stream: Stream, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` in seconds."""
        self._stream, self._clock = stream, clock
        self._known: OrderedDict[str, tuple[float, list[int]]] = OrderedDict()

    def page(
        self, project_id: str, wanted: StreamFilter, query: StreamQuery, paging: Paging
    ) -> tuple[list[StreamEntry], int]:
        """One page of the entries that pass, newest first, and how many do."""
        key = json.dumps([project_id, asdict(wanted), query.model_dump()])
        ids = self._remembered(key) if paging.page else None
        if ids is None:
            ids = self._stream.ids(project_id, wanted, query.accepts, query.needed_paths)
            self._remember(key, ids)
        start = paging.page * paging.per_page
        return self._stream.of_ids(ids[start : start + paging.per_page]), len(ids)

    def _remembered(self, key: str) -> list[int] | None:
        at, ids = self._known.get(key, (0.0, None))
        return ids if ids is not None and self._clock() - at < REMEMBERED_SECONDS else None

    def _remember(self, key: str, ids: list[int]) -> None:
        self._known[key] = (self._clock(), ids)
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
