"""The journal: what the agent remembers over a power cut, in SQLite.

A transition is one transaction: the new state, the update's row, the ``transitions`` row, what
became of the content, and the reports that tell the cloud.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.journal.boot_clock import BootClock
from agent.journal.checkpoints import JournalCheckpoints
from agent.journal.facts import store_fact, stored_fact
from agent.journal.measurements import JournalMeasurements
from agent.journal.opening import open_journal
from agent.journal.outbox import STREAM_BYTES, Message, Outbox
from agent.journal.rows import as_row, as_update
from agent.journal.trust import TRUST_FACT, as_fact, as_trust
from agent.journal.uploads import JournalUploads
from agent.wall_clock import utc_now
from states.model import Deployment
from states.ports import Evidence, Stored
from states.reasons import ABOUT_SIGNATURE, Rejection
from states.trust import Trust
from states.update import Transition, Update

KEPT_TRANSITIONS, KEPT_UPDATES = 10_000, 1_000
"""Rows of history kept: years of updates, a few megabytes."""

REJECTING = frozenset({"reject", "roll_back", "demote"})
"""Events by which an update's content is refused for good, if the reason is the content's."""

Announce = Callable[[Transition, str], Iterable[Message]]


@dataclass(frozen=True)
class Fetched:
    """What came over the air: payload bytes, blocks, and requests that had to be repeated."""

    byte_count: int = 0
    blocks: int = 0
    retransmissions: int = 0

    def since(self, earlier: Fetched) -> Fetched:
        """What was added after ``earlier``."""
        return Fetched(
            self.byte_count - earlier.byte_count,
            self.blocks - earlier.blocks,
            self.retransmissions - earlier.retransmissions,
        )


class SqliteJournal:
    """Implements :class:`states.ports.Journal` and the downloader's checkpoints.

    ``announce`` turns a transition into the messages that go out with it, ``stream_bytes`` is the
    most that stream messages take in the outbox.
    """

    def __init__(
        self,
        path: Path,
        announce: Announce,
        clock: BootClock | None = None,
        *,
        stream_bytes: int = STREAM_BYTES,
    ) -> None:
        self._db = open_journal(path)
        self._announce = announce
        self._clock = clock or BootClock.of_this_machine()
        self.outbox = Outbox(self._db, stream_bytes)
        self.measurements = JournalMeasurements(self._db, self.outbox)
        self.uploads = JournalUploads(self._db)
        self.checkpoints = JournalCheckpoints(self._db)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def load(self) -> Stored:
        """The state as last committed; Idle on a new device."""
        row = _first(self._db.query("SELECT * FROM machine"))
        if row is None:
            return Stored("idle", None, None)
        elapsed = None
        if row["boot_id"] == self._clock.boot_id:
            elapsed = max(0.0, self._clock.now() - row["boottime"])
        return Stored(row["state"], self._update(row["update_id"]), elapsed)

    def _update(self, update_id: int | None) -> Update | None:
        if update_id is None:
            return None
        row = _first(self._db.query("SELECT * FROM updates WHERE id = ?", [update_id]))
        return None if row is None else as_update(row)

    def commit(self, transition: Transition) -> None:
        """Write one transition with all that follows from it, durably."""
        update = transition.update
        now = utc_now()
        with self._db.atomic():
            if transition.ended is not None:
                self._close_update(transition.ended, now)
            if update is not None:
                self._write_update(update, now)
                self._remember(transition, update, now)
            self._move(transition, now)
            if transition.target == "idle":
                self._forget_old_history()
            for message in self._announce(transition, now):
                self.outbox.put(message, now)

    def _move(self, transition: Transition, now: str) -> None:
        update_id = transition.update.id if transition.update else None
        self._db.table("transitions").insert(
            {
                "at": now,
                "update_id": update_id,
                "event": transition.event,
                "source": transition.source,
                "target": transition.target,
                "detail": transition.detail,
            }
        )
        self._db.table("machine").upsert(
            {
                "id": 1,
                "state": transition.target,
                "update_id": None if transition.target == "idle" else update_id,
                "since": now,
                "boot_id": self._clock.boot_id,
                "boottime": self._clock.now(),
            },
            pk="id",
        )

    def _write_update(self, update: Update, now: str) -> None:
        row = as_row(update)
        known = self._db.execute("SELECT 1 FROM updates WHERE id = ?", [update.id]).fetchone()
        if known is None:
            self._db.table("updates").insert({**row, "started_at": now})
        else:
            del row["id"]
            self._db.table("updates").update(update.id, row)

    def _close_update(self, update: Update, now: str) -> None:
        self._write_update(update, now)
        self._db.table("updates").update(update.id, {"finished_at": now})

    def _remember(self, transition: Transition, update: Update, now: str) -> None:
        """What the update says about its content: refused for good, or proven."""
        if transition.target == "idle":
            self._db.table("updates").update(update.id, {"finished_at": now})
        if isinstance(update.reason, Rejection) and transition.event in REJECTING:
            about_signature = update.reason in ABOUT_SIGNATURE
            self._db.table("rejections").upsert(
                {
                    "release_id": update.release_id,
                    "signature": update.deployment.signature_id if about_signature else "",
                    "reason": update.reason,
                    "detail": update.detail,
                    "at": now,
                },
                pk=("release_id", "signature"),
            )
        if transition.event == "confirm":
            self._db.execute("DELETE FROM confirmations WHERE release_id = ?", [update.release_id])
            self._db.table("confirmations").insert({"release_id": update.release_id, "at": now})

    def _forget_old_history(self) -> None:
        """Keep the journal's size bounded; what was rejected or confirmed is kept for good."""
        for table, kept in (("transitions", KEPT_TRANSITIONS), ("updates", KEPT_UPDATES)):
            newest = f"SELECT max(id) FROM {table}"  # noqa: S608 - the names stand above
            self._db.table(table).delete_where(f"id <= ({newest}) - ?", [kept])
        for table in ("costs", "evidence"):
            self._db.table(table).delete_where("update_id NOT IN (SELECT id FROM updates)")

    def resumed(self, update: Update) -> None:
        """Remember that the agent was started again within the present state."""
        self._db.table("updates").update(update.id, {"resumes": update.resumes})

    def current_update_id(self) -> int | None:
        """The update under way, or None in Idle."""
        row = self._db.execute("SELECT update_id FROM machine").fetchone()
        return None if row is None else row[0]

    def next_update_id(self) -> int:
        """A number no update has had."""
        (highest,) = self._db.execute("SELECT coalesce(max(id), 0) FROM updates").fetchone()
        return int(highest) + 1

    def is_rejected(self, release_id: str) -> bool:
        """Whether this content was rejected, whoever signed it, and nobody has cleared that."""
        query = "SELECT 1 FROM rejections WHERE release_id = ? AND signature = ''"
        return self._db.execute(query, [release_id]).fetchone() is not None

    def is_refused(self, deployment: Deployment) -> bool:
        """Whether this content was rejected, or the signature it is deployed with."""
        query = "SELECT 1 FROM rejections WHERE release_id = ? AND signature IN ('', ?)"
        values = [deployment.release.id, deployment.signature_id]
        return self._db.execute(query, values).fetchone() is not None

    def rejected_releases(self) -> tuple[str, ...]:
        """Ids of rejected content, the newest first."""
        rows = self._db.execute("SELECT release_id FROM rejections ORDER BY at DESC, rowid DESC")
        return tuple(dict.fromkeys(release_id for (release_id,) in rows))

    def clear_rejection(self, release_id: str) -> None:
        """Forget that this content was rejected, or its signature; raises Postponed."""
        with self._db.atomic():
            self._db.table("rejections").delete_where("release_id = ?", [release_id])

    def trust(self) -> Trust:
        """Whose word counts, as noted last; that of nobody on a new device."""
        return as_trust(self.fact(TRUST_FACT))

    def note_trust(self, trust: Trust) -> None:
        """Remember whose word counts; forget refused signatures. Raises Postponed."""
        with self._db.atomic():
            same_keys = trust.pinned == self.trust().pinned
            self.note_fact(TRUST_FACT, as_fact(trust))
            refused = self._db.table("rejections")
            if same_keys:
                refused.delete_where("signature != '' AND release_id = ?", [trust.release])
            else:
                refused.delete_where("signature != ''")

    def sequence_of(self, release_id: str) -> int:
        """The newest sequence number under which this content was deployed; 0 when unknown."""
        query = "SELECT coalesce(max(sequence), 0) FROM updates WHERE release_id = ?"
        return int(self._db.execute(query, [release_id]).fetchone()[0])

    def confirmed_releases(self) -> tuple[str, ...]:
        """Ids of releases that once passed their commit window, newest first."""
        rows = self._db.execute("SELECT release_id FROM confirmations ORDER BY id DESC")
        return tuple(release_id for (release_id,) in rows)

    def note_evidence(self, update_id: int, kind: str, document: Evidence) -> None:
        """Keep what was measured about an update, in place of what was before; raises Postponed."""
        row = {"update_id": update_id, "kind": kind, "at": utc_now()}
        kept = self._db.table("evidence")
        with self._db.atomic():
            # An update may be tried for months, while its worker is away for example.
            kept.delete_where("update_id = ? AND kind = ?", [update_id, kind])
            kept.insert({**row, "document": json.dumps(document)})

    def evidence(self, update_id: int, kind: str) -> Evidence | None:
        """The newest document of that kind, or None."""
        row = self._db.execute(
            "SELECT document FROM evidence WHERE update_id = ? AND kind = ? ORDER BY id DESC",
            [update_id, kind],
        ).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def note_manifest(self, deployment: Deployment) -> None:
        """Remember the newest sequence number; written only when it changes."""
        noted = _first(self._db.query("SELECT sequence, release_id FROM manifest"))
        row = {"sequence": deployment.sequence, "release_id": deployment.release.id}
        if noted != row:
            self._db.table("manifest").upsert({"id": 1, **row, "at": utc_now()}, pk="id")

    def add_fetched(self, update_id: int, fetched: Fetched) -> None:
        """Add what came over the air to an update's totals."""
        self._db.execute(
            "INSERT INTO costs VALUES (?, ?, ?, ?) ON CONFLICT (update_id) DO UPDATE SET "
            "fetched_bytes = fetched_bytes + excluded.fetched_bytes, "
            "fetched_blocks = fetched_blocks + excluded.fetched_blocks, "
            "retransmissions = retransmissions + excluded.retransmissions",
            [update_id, fetched.byte_count, fetched.blocks, fetched.retransmissions],
        )

    def fact(self, name: str) -> str | None:
        """What was noted under that name, or None."""
        return stored_fact(self._db, name)

    def note_fact(self, name: str, value: str) -> None:
        """Remember something for ``edgeferry status``; written only when it changes."""
        if self.fact(name) != value:
            store_fact(self._db, name, value)


def _first(rows: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    return next(iter(rows), None)
