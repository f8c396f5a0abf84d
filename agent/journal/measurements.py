"""What the metrics remember: the counters last told, and each release's first hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlite_utils import Database

from agent.journal.facts import store_fact, stored_fact
from agent.journal.outbox import Message, Outbox
from agent.wall_clock import utc_now

_LOOK = "metrics.look"
KEPT_BASELINES = 16


class JournalMeasurements:
    """Documents by name; what is in them is their owner's business. Writing raises Postponed."""

    def __init__(self, db: Database, outbox: Outbox) -> None:
        self._db = db
        self._outbox = outbox

    def last_look(self) -> str | None:
        """The worker's counters as they were last told."""
        return stored_fact(self._db, _LOOK)

    def baseline(self, release: str) -> str | None:
        """What a release showed in its first hour, as far as that goes."""
        row = self._db.execute(
            "SELECT document FROM baselines WHERE release_id = ?", [release]
        ).fetchone()
        return None if row is None else str(row[0])

    def keep(
        self,
        look: str,
        baselines: Mapping[str, str] | None = None,
        messages: Iterable[Message] = (),
    ) -> None:
        """Remember what is told with these messages, all of it or nothing."""
        now = utc_now()
        with self._db.atomic():
            store_fact(self._db, _LOOK, look)
            for release, document in (baselines or {}).items():
                row = {"release_id": release, "document": document, "at": now}
                self._db.table("baselines").upsert(row, pk="release_id")
            if baselines:
                self._forget_old_baselines()
            for message in messages:
                self._outbox.put(message, now)

    def forget_look(self) -> None:
        """Nothing was told: the next look only begins."""
        self._db.execute("DELETE FROM facts WHERE name = ?", [_LOOK])

    def _forget_old_baselines(self) -> None:
        self._db.execute(
            "DELETE FROM baselines WHERE release_id NOT IN "
            "(SELECT release_id FROM baselines ORDER BY at DESC LIMIT ?)",
            [KEPT_BASELINES],
        )
