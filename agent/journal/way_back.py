"""The way back from an upgrade that changed the journal's tables.

Before a newer agent changes them it leaves a copy, named after the first change. The agent before
it finds the tables changed, knows the name from there, and goes on with the copy. What was written
since is kept aside; the running model needs nothing of it, for that is what ``current`` links to.
"""

from __future__ import annotations

import logging
from pathlib import Path

from sqlite_utils import Database

from agent.store.files import TEMPORARY, Files

logger = logging.getLogger(__name__)

_MODE = 0o640


def copy_before(change: str, journal: Path) -> Path:
    """Where the copy from before that change of the tables is."""
    return journal.with_name(f"{journal.name}.before-{change}")


def keep_copy(db: Database, journal: Path, change: str) -> None:
    """Copy the journal as it is now, durably; an older copy of that name is replaced."""
    files, copy = Files(), copy_before(change, journal)
    unfinished = copy.with_name(TEMPORARY + copy.name)
    files.unlink(unfinished)
    db.execute("VACUUM INTO ?", [str(unfinished)])
    files.set_mode(unfinished, _MODE)
    files.sync_closed(unfinished)  # SQLite does not sync what it copies there
    files.move(unfinished, copy)


def go_back(journal: Path, change: str) -> bool:
    """Put the copy from before that change in the journal's place; False when there is none.

    The journal must not be open. Raises Postponed.
    """
    files, copy = Files(), copy_before(change, journal)
    if not copy.exists():
        return False
    aside = journal.with_name(f"{journal.name}.newer")
    files.unlink(aside)
    files.link(aside, journal)
    # Durably, and first: SQLite would take the newer journal's log for one of the copy.
    for suffix in ("-wal", "-shm"):
        files.remove(journal.with_name(journal.name + suffix))
    # In one step: an agent that found no journal would begin a new one.
    files.move(copy, journal)
    logger.warning(
        "journal %s was changed by a newer agent (%s): went back to the copy from before, the newer"
        " one is kept as %s",
        *(journal, change, aside.name),
    )
    return True
