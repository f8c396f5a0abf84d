"""What SQLite writes for the journal, as steps of the disk model.

With ``journal_mode=WAL`` and ``synchronous=FULL`` a commit writes frames to the write-ahead log and
syncs it. A checkpoint then writes pages to the database and syncs that, before the log is begun
anew; its new header is synced by itself (https://www.sqlite.org/wal.html, and ``walWriteToLog`` and
``sqlite3WalFrames`` in SQLite's ``wal.c``). So the bytes of both files after each statement tell
which states a power cut may have left in between.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from sqlite_utils import Database

from tests.support.disk_model import Disk, Node, Steps

DATABASE, LOG = "state.db", "state.db-wal"
LOG_HEADER = 32
"""Bytes of the log before its first frame."""
CHECKPOINT_PAGES = 24
"""Pages in the log at which it is copied to the database: often, so that power is cut there too."""


class JournalSteps(Steps):
    """Steps of a state directory whose journal is looked at before each of them.

    ``disk`` is what lies there at the beginning.
    """

    def __init__(self, root: Path, disk: Disk) -> None:
        super().__init__()
        self._root = root
        self._connection: sqlite3.Connection | None = None
        self._changes = 0
        self._thread = threading.get_ident()
        """The thread that works with the journal; others work on files."""
        self._turn = threading.RLock()
        names = disk.root.names or {}
        self._seen = {n: names[n].data if n in names else None for n in (DATABASE, LOG)}

    def follow(self, db: Database) -> None:
        """Record what this connection writes; the one that has just been opened."""
        assert db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL, or the model is wrong"
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        # What a sync does is the model's business.
        db.execute("PRAGMA synchronous=OFF")
        db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        if self._seen[DATABASE] is None:
            self._note_new_files()
        self._connection = db.conn
        self._note_writes()
        # Called before each statement, when the one before it is over.
        db.conn.set_trace_callback(lambda _statement: self.look())

    def unfollow(self) -> None:
        """Record nothing more of that connection, as before it is closed."""
        assert self._connection is not None
        self._connection.set_trace_callback(None)
        self.look()
        known = len(self)
        self._note_writes()
        assert len(self) == known, "a write was overlooked"
        self._connection = None

    def look(self) -> None:
        """Record what was committed since the last look."""
        with self._turn:
            connection = self._connection
            if connection is None or connection.in_transaction:
                return
            changes = connection.total_changes
            if changes == self._changes:
                return
            self._note_writes()
            if threading.get_ident() == self._thread:
                # Others may have looked in the middle of a commit: then it is looked at again.
                self._changes = changes

    def _note_writes(self) -> None:
        self._note_write(LOG)
        self._note_write(DATABASE)

    def append(self, step: Callable[[Disk], None]) -> None:
        """Add a step after what was committed before it."""
        with self._turn:
            self.look()
            super().append(step)

    def _note_new_files(self) -> None:
        """How SQLite makes a database is its own affair: one step here."""
        content = {name: self._read(name) for name in self._seen}
        self._seen = dict(content)

        def step(disk: Disk) -> None:
            assert disk.root.names is not None
            for name, data in content.items():
                disk.root.names[name] = node = Node(data=data or b"", durable_data=data or b"")
                disk.root.durable_names[name] = node

        super().append(step)

    def _note_write(self, name: str) -> None:
        before, after = self._seen[name] or b"", self._read(name) or b""
        if after == before:
            return
        self._seen[name] = after
        if name == LOG and after[:LOG_HEADER] != before[:LOG_HEADER]:
            # The header that invalidates all frames is synced before the first is overwritten:
            # else a beginning of old frames could be taken for newer than the database.
            self._write(name, after[:LOG_HEADER] + before[LOG_HEADER:])
        self._write(name, after)

    def _write(self, name: str, data: bytes) -> None:
        def step(disk: Disk) -> None:
            disk.at(name).data = data

        super().append(step)
        self.sync(name)

    def sync(self, name: str) -> None:
        """Record that SQLite brings one of its files to the disk."""

        def step(disk: Disk) -> None:
            disk.at(name).durable_data = disk.at(name).data

        super().append(step)

    def _read(self, name: str) -> bytes | None:
        path = self._root / name
        return path.read_bytes() if path.exists() else None
