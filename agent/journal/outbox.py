"""The outbox: what is still to be told to the cloud, in order, over restarts and days offline.

Messages are delivered at least once. Where only the newest matters, it takes the place of the older
one; what each message of a kind must do stands beside its kind.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from sqlite_utils import Database


class Kind(StrEnum):
    """What a message is, and so where it goes."""

    REPORT = "report"
    """An OTA report; every one counts, except the repetition of the one before."""
    STATE = "state"
    """A LightDB State value; only the newest of a topic matters."""


@dataclass(frozen=True)
class Message:
    """One thing to tell. ``topic`` is the package or the state's path, ``body`` JSON text."""

    kind: Kind
    topic: str
    body: str


@dataclass(frozen=True)
class Queued:
    """A message with its place in the queue."""

    id: int
    message: Message


LONGEST = 2000
"""Messages kept; weeks offline cost the oldest reports, never the newest state."""


class Outbox:
    """The queue itself, a table of the journal, so that it shares the journal's transactions."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._filled = asyncio.Event()

    def put(self, message: Message, at: str) -> None:
        """Append a message; part of the surrounding transaction if there is one."""
        if self._last(message) == message.body:
            return
        if message.kind is Kind.STATE:
            self._db.execute(
                "DELETE FROM outbox WHERE kind = ? AND topic = ?", [message.kind, message.topic]
            )
        row = {"kind": message.kind, "topic": message.topic, "body": message.body, "at": at}
        self._db.table("outbox").insert(row)
        self._db.execute(
            "DELETE FROM outbox WHERE id <= (SELECT max(id) FROM outbox) - ?", [LONGEST]
        )
        self._filled.set()

    def _last(self, message: Message) -> str | None:
        row = self._db.execute(
            "SELECT body FROM outbox WHERE kind = ? AND topic = ? ORDER BY id DESC LIMIT 1",
            [message.kind, message.topic],
        ).fetchone()
        return None if row is None else str(row[0])

    async def news(self) -> None:
        """Wait until something has been put since the last call."""
        await self._filled.wait()
        self._filled.clear()

    def oldest(self) -> Queued | None:
        """The message to deliver next."""
        row = self._db.execute(
            "SELECT id, kind, topic, body FROM outbox ORDER BY id LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        return Queued(row[0], Message(Kind(row[1]), row[2], row[3]))

    def delivered(self, queued: Queued) -> None:
        """Forget a message the cloud has acknowledged."""
        self._db.execute("DELETE FROM outbox WHERE id = ?", [queued.id])
