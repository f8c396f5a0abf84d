"""How far samples are sent, and how much of the day's budget that took."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlite_utils import Database

from agent.journal.facts import store_fact, stored_fact
from agent.wall_clock import utc_now

_SPENT = "samples.sent"


@dataclass(frozen=True)
class Sent:
    """Parts of a sample that the cloud has; ``sha256`` tells it from another of the same id."""

    sample_id: str
    sha256: str
    parts: int
    acknowledged: int = 0


@dataclass(frozen=True)
class Spent:
    """Bytes sent on a day (YYYY-MM-DD)."""

    day: str
    bytes: int = 0


class JournalUploads:
    """One row for each sample that is partly sent. Writing raises Postponed."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def under_way(self) -> list[Sent]:
        """Every sample of which something was sent, the first begun first."""
        rows = self._db.execute(
            "SELECT sample_id, sha256, parts, acknowledged FROM uploads ORDER BY rowid"
        )
        return [Sent(*row) for row in rows]

    def acknowledge(self, sent: Sent, spent: Spent) -> None:
        """Note that one more part has arrived."""
        row = {
            "sample_id": sent.sample_id,
            "sha256": sent.sha256,
            "parts": sent.parts,
            "acknowledged": sent.acknowledged,
            "at": utc_now(),
        }
        with self._db.atomic():
            self._db.table("uploads").upsert(row, pk="sample_id")
            store_fact(self._db, _SPENT, json.dumps([spent.day, spent.bytes]))

    def forget(self, sample_id: str) -> None:
        """It is sent, or gone."""
        self._db.execute("DELETE FROM uploads WHERE sample_id = ?", [sample_id])

    def spent(self, day: str) -> Spent:
        """What was sent on that day."""
        fact = stored_fact(self._db, _SPENT)
        noted = Spent(*json.loads(fact)) if fact else Spent(day)
        return noted if noted.day == day else Spent(day)
