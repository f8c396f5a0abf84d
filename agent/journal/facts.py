"""Facts: texts the agent remembers by name, over a restart or for ``edgeferry status``."""

from __future__ import annotations

from typing import Protocol

from sqlite_utils import Database

from agent.wall_clock import utc_now


class Facts(Protocol):
    """The journal, for those who need no more of it than this."""

    def fact(self, name: str) -> str | None:
        """What was noted under that name, or None."""

    def note_fact(self, name: str, value: str) -> None:
        """Remember something. Raises Postponed when the disk refuses."""


def stored_fact(db: Database, name: str) -> str | None:
    """What a journal holds under that name, or None."""
    row = db.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()
    return None if row is None else str(row[0])


def store_fact(db: Database, name: str, value: str) -> None:
    """Put it there, in the place of what was; part of the surrounding transaction if there is one.

    Raises Postponed.
    """
    db.table("facts").upsert({"name": name, "value": value, "at": utc_now()}, pk="name")
