"""SQLite's connection, speaking of a disk that refuses as everything else in the agent does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from states.ports import Postponed
from states.reasons import Transient


class JournalDamaged(Exception):  # noqa: N818 - reads as what happened
    """SQLite found damage in the file. The next start puts it aside and begins a new one."""

    exit_status: ClassVar[int] = 1

    def __init__(self, found: object) -> None:
        super().__init__(
            f"the journal is damaged ({found}); the next start puts it aside and goes on without"
        )
        self.found = found


class JournalUnreadable(Postponed):
    """The disk does not give the file back, now or for ever."""

    def __init__(self, error: OSError) -> None:
        super().__init__(Transient.STORAGE_ERROR, f"journal: {error}")


class JournalConnection(sqlite3.Connection):
    """Every statement raises Postponed or JournalDamaged where SQLite has its own errors.

    A connection that is ``read_only`` makes no file; ``timeout`` is how many seconds to wait for
    others who write.
    """

    def __init__(self, path: Path, *, timeout: float = 10.0, read_only: bool = False) -> None:
        self.path = path
        mode = "ro" if read_only else "rwc"
        with self.errors():
            super().__init__(f"{path.absolute().as_uri()}?mode={mode}", timeout, uri=True)

    def cursor(self, *_: Any) -> Any:
        """A cursor that does so too."""
        return super().cursor(_Cursor)

    def execute(self, *statement: Any) -> Any:
        """As SQLite's own, which would make a cursor of its own kind."""
        return self.cursor().execute(*statement)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What a full, failing or busy disk does to SQLite is Postponed; damage JournalDamaged."""
        try:
            yield
        except sqlite3.OperationalError as error:
            full = "full" in str(error)
            reason = Transient.DISK_FULL if full else Transient.STORAGE_ERROR
            raise Postponed(reason, f"journal: {error}") from error
        except sqlite3.DatabaseError as error:
            # Its subclasses are defects of ours, such as a broken constraint.
            if type(error) is not sqlite3.DatabaseError:
                raise
            self._raise_unreadable()
            raise JournalDamaged(error) from error

    def _raise_unreadable(self) -> None:
        """SQLite says of a sector that can't be read, too, that the file is malformed."""
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            try:
                path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise JournalUnreadable(error) from error


class _Cursor(sqlite3.Cursor):
    connection: JournalConnection

    def execute(self, *statement: Any) -> _Cursor:
        with self.connection.errors():
            super().execute(*statement)
            return self

    def fetchone(self) -> Any:
        with self.connection.errors():
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        with self.connection.errors():
            return super().fetchall()

    def __next__(self) -> Any:
        with self.connection.errors():
            return super().__next__()
