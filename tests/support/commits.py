"""What others commit to a journal, as soon as they do."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


class Commits:
    """Sees what others commit to a journal."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._version = self._now()

    def _now(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def await_next(self, count: int, seconds: float = 5.0) -> None:
        """Return right after so many commits, or when there were none any more for some time."""
        end = time.monotonic() + seconds
        while count and time.monotonic() < end:
            now = self._now()
            if now != self._version:
                self._version, count = now, count - 1
                end = time.monotonic() + seconds
            else:
                time.sleep(0.001)


@contextmanager
def watching(state_dir: Path) -> Iterator[Commits]:
    """Watch the journal without ever being in the way."""
    uri = f"{(state_dir / 'state.db').absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        yield Commits(connection)
