"""The journal's tables, their migrations, and opening the file safely.

WAL with ``synchronous=FULL``: a committed transition is on the disk when the machine moves.
Everything may be read with the ``sqlite3`` command line, also while the agent runs.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from sqlite_utils import Database, Migrations

from agent.journal.connection import JournalConnection, JournalDamaged, JournalUnreadable
from agent.journal.way_back import go_back, keep_copy
from agent.store.files import storage_errors
from states.ports import Postponed

logger = logging.getLogger(__name__)

UNREADABLE_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts to read a journal that the disk does not give back."""

migrations = Migrations("edgeferry")

_TABLES = """
CREATE TABLE machine (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    state TEXT NOT NULL,
    update_id INTEGER,
    since TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    boottime REAL NOT NULL
) STRICT;
CREATE TABLE updates (
    id INTEGER PRIMARY KEY,
    release_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    packages TEXT NOT NULL,
    fallback TEXT,
    attempts INTEGER NOT NULL,
    resumes INTEGER NOT NULL,
    retry_delay REAL NOT NULL,
    outcome TEXT,
    reason TEXT,
    detail TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT
) STRICT;
CREATE TABLE transitions (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    update_id INTEGER,
    event TEXT NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TABLE rejections (
    release_id TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;
CREATE TABLE confirmations (
    id INTEGER PRIMARY KEY,
    release_id TEXT NOT NULL UNIQUE,
    at TEXT NOT NULL
) STRICT;
CREATE TABLE manifest (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL,
    release_id TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    topic TEXT NOT NULL,
    body TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;
CREATE TABLE checkpoints (
    sha256 TEXT PRIMARY KEY,
    total_size INTEGER NOT NULL,
    block_size INTEGER NOT NULL,
    finished BLOB NOT NULL,
    etag BLOB,
    at TEXT NOT NULL
) STRICT;
CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;
"""


@migrations()
def first_tables(db: Database) -> None:
    """Make the tables of release 0.1."""
    for statement in _TABLES.split(";"):
        if statement.strip():
            db.execute(statement)


@migrations()
def companions_of_updates(db: Database) -> None:
    """Remember which patches a deployment brought along."""
    db.execute("ALTER TABLE updates ADD COLUMN companions TEXT NOT NULL DEFAULT '[]'")


@migrations()
def costs_of_updates(db: Database) -> None:
    """Count what an update cost on the link.

    In a table of its own: it changes with every checkpoint, and a row of ``updates`` is long.
    """
    db.execute("""
        CREATE TABLE costs (
            update_id INTEGER PRIMARY KEY,
            fetched_bytes INTEGER NOT NULL,
            fetched_blocks INTEGER NOT NULL,
            retransmissions INTEGER NOT NULL
        ) STRICT
    """)


@migrations()
def evidence_of_updates(db: Database) -> None:
    """Keep what was measured of a release: JSON documents, the newest of a kind counts."""
    db.execute("""
        CREATE TABLE evidence (
            id INTEGER PRIMARY KEY,
            update_id INTEGER NOT NULL,
            kind TEXT NOT NULL,
            at TEXT NOT NULL,
            document TEXT NOT NULL
        ) STRICT
    """)
    db.execute("CREATE INDEX evidence_by_update ON evidence (update_id, kind)")


@migrations()
def telemetry(db: Database) -> None:
    """Queue stream messages within a bound, and keep what metrics and uploads remember.

    The index answers how many bytes of a kind wait without reading them.
    """
    db.execute("ALTER TABLE outbox ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0")
    db.execute("CREATE INDEX outbox_by_kind ON outbox (kind, id, bytes)")
    db.execute("""
        CREATE TABLE baselines (
            release_id TEXT PRIMARY KEY,
            document TEXT NOT NULL,
            at TEXT NOT NULL
        ) STRICT
    """)
    db.execute("""
        CREATE TABLE uploads (
            sample_id TEXT PRIMARY KEY,
            sha256 TEXT NOT NULL,
            parts INTEGER NOT NULL,
            acknowledged INTEGER NOT NULL,
            at TEXT NOT NULL
        ) STRICT
    """)


@migrations()
def signatures_of_releases(db: Database) -> None:
    """Remember the signature a release was deployed with, and which of them was refused.

    A rejection without a signature is one of the content itself.
    """
    db.execute("ALTER TABLE updates ADD COLUMN signature TEXT")
    db.execute("ALTER TABLE rejections RENAME TO rejections_before")
    db.execute("""
        CREATE TABLE rejections (
            release_id TEXT NOT NULL,
            signature TEXT NOT NULL,
            reason TEXT NOT NULL,
            detail TEXT NOT NULL,
            at TEXT NOT NULL,
            PRIMARY KEY (release_id, signature)
        ) STRICT
    """)
    db.execute(
        "INSERT INTO rejections SELECT release_id, '', reason, detail, at FROM rejections_before"
        " ORDER BY rowid"
    )
    db.execute("DROP TABLE rejections_before")


class JournalError(Exception):
    """The journal can't be used; names the file and the next step."""

    exit_status: ClassVar[int] = 1


class NewerJournalError(JournalError):
    """A newer agent has changed the tables. ``change`` is the first one that is not known here."""

    def __init__(self, path: Path, changes: list[str]) -> None:
        super().__init__(
            f"journal {path} was made by a newer agent (it has {', '.join(changes)}); "
            "install that version again, or restore the state folder's backup"
        )
        self.change = changes[0]


def utc_now() -> str:
    """The wall clock, for people only: nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def open_journal(path: Path) -> Database:
    """Open the journal for writing, bringing its tables up to date.

    A damaged file is put aside as ``state.db.damaged-…`` and a new one begun: what serves is known
    from the ``current`` link, so nothing that matters to the running model is lost. The same goes
    for a file that a newer agent has changed, if that one left a copy from before.

    Raises:
        JournalError: the file can't be written, or was made by a newer agent.
    """
    try:
        return _open_patiently(path)
    except NewerJournalError as newer:
        if not go_back(path, newer.change):
            raise
        return _open(path)
    except Postponed as refusal:
        raise JournalError(
            f"{refusal.detail} ({path}); check the folder's owner, mode and free space"
        ) from refusal
    except JournalDamaged as damage:
        _put_aside(path, damage)
        return _open(path)


def _open_patiently(path: Path) -> Database:
    """Disks fail for a moment as well: what can't be read for longer is as good as damaged."""
    for pause in UNREADABLE_PAUSES:
        try:
            return _open(path)
        except JournalUnreadable as unreadable:
            logger.warning("%s; trying again in %g s", unreadable.detail, pause)
            time.sleep(pause)
    try:
        return _open(path)
    except JournalUnreadable as unreadable:
        raise JournalDamaged(unreadable.detail) from unreadable


def _put_aside(path: Path, damage: JournalDamaged) -> None:
    """Keep the damaged file for whoever wants to look at it, and only the newest of them."""
    with storage_errors(path):
        for older in path.parent.glob(f"{path.name}.damaged-*"):
            older.unlink()
        aside = path.with_name(f"{path.name}.damaged-{utc_now().replace(':', '')}")
        path.rename(aside)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    logger.error("journal %s is damaged (%s); kept as %s", path, damage.found, aside.name)


def _open(path: Path) -> Database:
    connection = JournalConnection(path, timeout=10.0)
    try:
        with storage_errors(path):
            path.chmod(0o640)
        db = Database(connection)
        # A checkpoint changes a few bytes on two pages: small ones spare the flash. New files only.
        db.execute("PRAGMA page_size=1024")
        _check(db)
        db.enable_wal()
        db.execute("PRAGMA synchronous=FULL")
        _refuse_newer(db, path)
        pending = migrations.pending(db)
        if pending and migrations.applied(db):
            keep_copy(db, path, pending[0].name)
        with db.atomic():  # whoever reads meanwhile sees all tables of a release or none
            migrations.apply(db)
    except BaseException:
        connection.close()
        raise
    return db


def _check(db: Database) -> None:
    if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
        raise JournalDamaged("quick_check found it")


def _refuse_newer(db: Database, path: Path) -> None:
    known = {migration.name for migration in migrations.pending(db)}
    known |= {migration.name for migration in migrations._migrations}
    newer = [step.name for step in migrations.applied(db) if step.name not in known]
    if newer:
        raise NewerJournalError(path, newer)


def knows_telemetry(db: Database) -> bool:
    """Whether an agent with telemetry has opened it yet; for those who only read."""
    return db.table("uploads").exists()


def journal_problem(db: Database, path: Path) -> str | None:
    """What would keep the agent from using an opened journal, for people, or None."""
    try:
        _check(db)
        _refuse_newer(db, path)
    except (sqlite3.DatabaseError, JournalDamaged, JournalError) as problem:
        return str(problem)
    return None


def open_for_reading(path: Path) -> Database:
    """Open the journal read-only, also beside a running agent.

    Raises:
        JournalError: there is none, or it can't be read.
    """
    if not path.exists():
        raise JournalError(f"no journal at {path}: the agent has not run yet, or --config differs")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
        db = Database(connection)
        db.execute("SELECT 1 FROM machine").fetchone()
    except sqlite3.Error as error:
        raise JournalError(f"journal {path} can't be read: {error}") from error
    return db
