"""The outbox: what is still to be told to the cloud, in order, over restarts and days offline.

Messages are delivered at least once. Where only the newest matters, it takes the place of the older
one; what each message of a kind must do stands beside its kind. Every kind has its own bound, so
that no amount of telemetry can push out a report.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlite_utils import Database


class Kind(StrEnum):
    """What a message is, and so where it goes."""

    REPORT = "report"
    """An OTA report; every one counts, except the repetition of the one before."""
    STATE = "state"
    """A LightDB State value; only the newest of a topic matters."""
    STREAM = "stream"
    """A LightDB Stream document; every one counts while there is room for it."""


REPORTING: Collection[Kind] = (Kind.REPORT, Kind.STATE)
STREAMING: Collection[Kind] = (Kind.STREAM,)


@dataclass(frozen=True)
class Message:
    """One thing to tell. ``topic`` is the package or the path, ``body`` JSON text."""

    kind: Kind
    topic: str
    body: str


@dataclass(frozen=True)
class Queued:
    """A message with its place in the queue."""

    id: int
    message: Message


@dataclass(frozen=True)
class Waiting:
    """How much of a kind is in the queue, and since when (RFC 3339)."""

    messages: int
    bytes: int
    oldest_at: str | None


LONGEST = 10_000
"""Reports and stream messages kept; at a wait an hour the reports of more than three months."""
STREAM_BYTES = 8 << 20


class Outbox:
    """The queue itself, a table of the journal, so that it shares the journal's transactions.

    ``stream_bytes`` is the most that the bodies of stream messages take; the oldest go first.
    """

    def __init__(self, db: Database, stream_bytes: int = STREAM_BYTES) -> None:
        self._db = db
        self._bytes = {Kind.STREAM: stream_bytes}
        self._filled = asyncio.Event()

    def put(self, message: Message, at: str) -> None:
        """Append a message; part of the surrounding transaction if there is one."""
        kind, topic, body = message.kind, message.topic, message.body
        if kind is not Kind.STREAM and self._last(message) == body:
            return
        if kind is Kind.STATE:
            self._db.execute("DELETE FROM outbox WHERE kind = ? AND topic = ?", [kind, topic])
        row = {"kind": kind, "topic": topic, "body": body, "at": at, "bytes": len(body.encode())}
        self._db.table("outbox").insert(row)
        if kind is not Kind.STATE:
            self._make_room(kind)
        self._filled.set()

    def _make_room(self, kind: Kind) -> None:
        self._db.execute(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM ("
            " SELECT id, row_number() OVER newest AS messages, sum(bytes) OVER newest AS bytes"
            " FROM outbox WHERE kind = ? WINDOW newest AS (ORDER BY id DESC))"
            " WHERE messages > ? OR bytes > ?)",
            [kind, LONGEST, self._bytes.get(kind, STREAM_BYTES)],
        )

    def _last(self, message: Message) -> str | None:
        row = self._db.execute(
            "SELECT body FROM outbox WHERE kind = ? AND topic = ? ORDER BY id DESC LIMIT 1",
            [message.kind, message.topic],
        ).fetchone()
        return None if row is None else str(row[0])

    async def news(self) -> None:
        """Wait until something has been put; several may wait."""
        self._filled.clear()
        await self._filled.wait()

    def next(self, kinds: Collection[Kind], after: int = 0) -> Queued | None:
        """The oldest message of these kinds whose id is greater than ``after``."""
        found = (self._first(kind, after) for kind in kinds)
        return min(filter(None, found), key=lambda queued: queued.id, default=None)

    def _first(self, kind: Kind, after: int) -> Queued | None:
        row = self._db.execute(
            "SELECT id, topic, body FROM outbox WHERE kind = ? AND id > ? ORDER BY id LIMIT 1",
            [kind, after],
        ).fetchone()
        return None if row is None else Queued(row[0], Message(kind, row[1], row[2]))

    def delivered(self, messages: Sequence[Queued]) -> None:
        """Forget messages the cloud has acknowledged.

        SQLite gives the number of a deleted row away again: a newer state may have it by now.
        """
        if not messages:
            return
        with self._db.atomic():
            for queued in messages:
                self._db.execute(
                    "DELETE FROM outbox WHERE id = ? AND body = ?", [queued.id, queued.message.body]
                )


def waiting(db: Database, kind: Kind) -> Waiting:
    """How much of a kind waits, for whoever reads the journal."""
    messages, size, first = db.execute(
        "SELECT count(*), coalesce(sum(bytes), 0), min(id) FROM outbox WHERE kind = ?", [kind]
    ).fetchone()
    row = db.execute("SELECT at FROM outbox WHERE id = ?", [first]).fetchone()
    return Waiting(messages, size, row[0] if row else None)
