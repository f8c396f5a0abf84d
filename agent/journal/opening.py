"""Opening the journal's file safely, whatever has become of it.

WAL with ``synchronous=FULL``: a committed transition is on the disk when the machine moves.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import ClassVar

from sqlite_utils import Database

from agent.journal.connection import JournalConnection, JournalDamaged, JournalUnreadable
from agent.journal.schema import migrations
from agent.journal.way_back import go_back, keep_copy
from agent.store.files import storage_errors
from agent.wall_clock import utc_now
from states.ports import Postponed

logger = logging.getLogger(__name__)

JOURNAL_FILE = "state.db"
"""The journal within the state folder."""
UNREADABLE_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts to read a journal that the disk does not give back."""


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


def open_journal(path: Path) -> Database:
    """Open the journal for writing, bringing its tables up to date.

    A damaged file is put aside as ``state.db.damaged-…`` and a new one begun: what serves is known
    from the ``current`` link, so nothing that matters to the running model is lost. The same goes
    for a file that a newer agent has changed, if that one left a copy from before.

    Raises:
        JournalError: the file can't be written, or was made by a newer agent.
    """
    try:
        return _open_mended(path)
    except Postponed as refusal:
        raise JournalError(
            f"{refusal.detail} ({path}); check the folder's owner, mode and free space"
        ) from refusal


def _open_mended(path: Path) -> Database:
    try:
        return _open_patiently(path)
    except NewerJournalError as newer:
        if not go_back(path, newer.change):
            raise
        return _open_mended(path)  # the copy is used up with that, so this comes to an end
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
    connection = JournalConnection(path)
    try:
        with storage_errors(path):
            path.chmod(0o640)
        # No plugins: to find any, it would read the metadata of every installed package.
        db = Database(connection, execute_plugins=False)
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
    known = {migration.name for migration in migrations._migrations}  # there is no public way
    newer = [step.name for step in migrations.applied(db) if step.name not in known]
    if newer:
        raise NewerJournalError(path, newer)


def journal_problem(db: Database, path: Path) -> str | None:
    """What would keep the agent from using an opened journal, for people, or None."""
    try:
        _check(db)
        _refuse_newer(db, path)
    except (Postponed, JournalDamaged, JournalError) as problem:
        return str(problem)
    return None


def open_for_reading(path: Path) -> Database:
    """Open the journal read-only, also beside a running agent; close it when done.

    Statements raise Postponed and JournalDamaged, as the agent's own do.

    Raises:
        JournalError: there is none, or it can't be read.
    """
    if not path.exists():
        raise JournalError(f"no journal at {path}: the agent has not run yet, or --config differs")
    try:
        connection = JournalConnection(path, timeout=5.0, read_only=True)
        try:
            connection.execute("SELECT 1 FROM machine").fetchone()
        except BaseException:
            connection.close()
            raise
    except (Postponed, JournalDamaged) as problem:
        raise JournalError(f"journal {path} can't be read: {problem}") from problem
    return Database(connection, execute_plugins=False)
