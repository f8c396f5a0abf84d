"""Opening the data directory: one process at a time, SQLite in WAL mode, private files."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlite_utils import Database as SqliteDatabase

from localcloud.errors import AlreadyExists, DataDirectoryError, InvalidArgument, NotFound
from localcloud.storage.schema import migrations

Row = Mapping[str, Any]

MAX_PAGE = 100


@dataclass(frozen=True)
class Paging:
    """One page of a list: ``page`` counts from 0, ``per_page`` is 1 to 100 (Golioth: both)."""

    page: int = 0
    per_page: int = MAX_PAGE

    def __post_init__(self) -> None:
        if self.page < 0:
            raise InvalidArgument(f"page is {self.page}; pages count from 0")
        if not 1 <= self.per_page <= MAX_PAGE:
            raise InvalidArgument(f"perPage is {self.per_page}; it must be 1 to {MAX_PAGE}")


class Conditions:
    """A WHERE clause under construction. Column texts come from code, never from callers."""

    def __init__(self, **equal: object) -> None:
        self._texts: list[str] = []
        self.values: list[object] = []
        for column, value in equal.items():
            self.add(f"{column} = ?", value)

    @classmethod
    def within(cls, project_id: str, device_id: str | None) -> Conditions:
        """What belongs to a project, or to this device of it."""
        if device_id is None:
            return cls(project_id=project_id)
        conditions = cls(device_id=device_id)
        # The + keeps SQLite from going through all of the project by that column's index.
        conditions.add("+project_id = ?", project_id)
        return conditions

    def add(self, text: str, *values: object) -> None:
        """Add a condition with its parameters."""
        self._texts.append(text)
        self.values.extend(values)

    def add_given(self, text: str, value: object | None) -> None:
        """Add the condition unless the value is None."""
        if value is not None:
            self.add(text, value)

    @property
    def where(self) -> str:
        """All conditions joined."""
        return " AND ".join(self._texts) or "1"


class Database:
    """The cloud's SQLite file. Used from the event loop's thread only; every call is short."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._db = SqliteDatabase(path)
        try:
            self._db.enable_wal()
            # With WAL this survives a killed process; only a power cut can lose the last commits.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            migrations.apply(self._db)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise DataDirectoryError(
                f"{path} is no usable database ({error}); move it away or choose another --data"
            ) from error

    def each(self, sql: str, *values: object) -> Iterator[Row]:
        """The rows of a query as they are read: all of them may be more than the memory holds.

        Nothing may be awaited or written until the last one.
        """
        cursor = self._db.execute(sql, list(values))
        columns = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(columns, row, strict=True))

    def rows(self, sql: str, *values: object) -> list[Row]:
        """All rows of a query."""
        return list(self.each(sql, *values))

    def row(self, sql: str, *values: object) -> Row | None:
        """The first row, or None."""
        return next(iter(self.rows(sql, *values)), None)

    def one(self, missing: str, sql: str, *values: object) -> Row:
        """The first row; raises NotFound, which says what is ``missing``."""
        row = self.row(sql, *values)
        if row is None:
            raise NotFound(missing)
        return row

    def execute(self, sql: str, *values: object) -> int:
        """Run a statement, committed at once unless inside :meth:`atomic`; returns rows touched."""
        return self._db.execute(sql, list(values)).rowcount

    def insert(self, table: str, values: Row) -> None:
        """Insert one row; raises sqlite3.IntegrityError, see :func:`unique`."""
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        sql = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - names from code
        self._db.execute(sql, list(values.values()))

    def atomic(self) -> AbstractContextManager[object]:
        """Everything inside is one transaction."""
        return self._db.atomic()

    @property
    def revision(self) -> int:
        """A number that grows with every row that is written."""
        return self._db.conn.total_changes

    def page(
        self, table: str, conditions: Conditions, order: str, paging: Paging
    ) -> tuple[list[Row], int]:
        """One page of a table's rows, and how many there are in all."""
        where = conditions.where
        total = self.row(
            f"SELECT count(*) AS n FROM {table} WHERE {where}",  # noqa: S608 - names from code
            *conditions.values,
        )
        rows = self.rows(
            f"SELECT * FROM {table} WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?",  # noqa: S608
            *conditions.values,
            paging.per_page,
            paging.page * paging.per_page,
        )
        return rows, total["n"] if total else 0

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class DirectoryLock:
    """Keeps a second cloud out of the same data directory; the kernel drops it with the process.

    Makes the directory, for its owner only. Raises DataDirectoryError when it is in use, OSError.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise DataDirectoryError(
                f"{directory} is in use by another local cloud; stop it or choose another --data"
            ) from error

    def release(self) -> None:
        """Let another process in."""
        os.close(self._descriptor)


@contextmanager
def usable(directory: Path) -> Iterator[None]:
    """Turns what the file system refuses inside into DataDirectoryError."""
    try:
        yield
    except OSError as error:
        raise DataDirectoryError(
            f"the data directory {directory} can't be used: {error};"
            " check its owner and the space left, or choose another --data"
        ) from error


@contextmanager
def unique(taken: str) -> Iterator[None]:
    """Turns a violated uniqueness inside into AlreadyExists, which says what is ``taken``."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise AlreadyExists(taken) from error


def values_marks(values: Sequence[object]) -> str:
    """Question marks for an IN clause; an empty one matches nothing."""
    return ", ".join("?" * len(values)) or "NULL"
