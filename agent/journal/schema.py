"""The journal's tables, and how those of an earlier release become them.

Everything may be read with the ``sqlite3`` command line, also while the agent runs.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

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


def knows_telemetry(db: Database) -> bool:
    """Whether an agent with telemetry has opened it yet; for those who only read."""
    return db.table("uploads").exists()
