"""Opening the data directory: one process at a time, SQLite in WAL mode, private files."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlite_utils import Database as SqliteDatabase

from localcloud.errors import DataDirectoryError, InvalidArgument
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

    def rows(self, sql: str, *values: object) -> list[Row]:
        """All rows of a query."""
        cursor = self._db.execute(sql, list(values))
        columns = [column[0] for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor]

    def row(self, sql: str, *values: object) -> Row | None:
        """The first row, or None."""
        return next(iter(self.rows(sql, *values)), None)

    def execute(self, sql: str, *values: object) -> int:
        """Run a statement, committed at once unless inside :meth:`atomic`; returns rows touched."""
        return self._db.execute(sql, list(values)).rowcount

    def insert(self, table: str, values: Row) -> int:
        """Insert one row and return its rowid; raises sqlite3.IntegrityError."""
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        sql = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - names from code
        return self._db.execute(sql, list(values.values())).lastrowid or 0

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
    """Keeps a second cloud out of the same data directory; the kernel drops it with the process."""

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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


def prepare_directory(directory: Path) -> Path:
    """Create the data directory, for its owner only. Raises DataDirectoryError."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DataDirectoryError(
            f"{directory} can't be created: {error}; choose another --data"
        ) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise DataDirectoryError(f"{directory} is not writable; choose another --data")
    return directory


def values_marks(values: Sequence[object]) -> str:
    """Question marks for an IN clause; an empty one matches nothing."""
    return ", ".join("?" * len(values)) or "NULL"
