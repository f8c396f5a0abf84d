"""What is worth telling while the agent works: bytes, the link, traffic totals.

Written rarely: flash wears, and Golioth counts requests.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Protocol

from agent.journal.journal import SqliteJournal
from agent.journal.outbox import Kind, Message
from agent.journal.schema import utc_now
from agent.notify import notify
from agent.reporting import STATE_PATH
from protocol.errors import ProtocolError
from protocol.session import DeviceSession, Traffic

TELL_SECONDS = 2.0
"""Least time between two tellings of a download's progress."""
TRAFFIC_SECONDS = 60.0
"""How often traffic totals are written down; a power cut loses at most that much of them."""


class CountsBytes(Protocol):
    """The downloader's total of bytes that came over the air."""

    @property
    def downloaded_bytes(self) -> int:
        """Bytes since the start."""


class ProgressKeeper:
    """Keeps the journal's facts and the cloud's progress bar current."""

    def __init__(self, journal: SqliteJournal, session: DeviceSession) -> None:
        self._journal = journal
        self._session = session
        self._earlier = stored_traffic(journal.fact("traffic"))
        self._downloads: CountsBytes | None = None
        self._counted = 0
        self._told_at = 0.0
        self._note_connection(False, None)
        # With every checkpoint, so that bytes and progress agree after a power cut too.
        journal.checkpoints.on_save = self._count_bytes

    def count(self, downloads: CountsBytes) -> None:
        """Take the bytes of an update from here."""
        self._downloads = downloads

    def on_connection(self, connected: bool, error: ProtocolError | None) -> None:
        """Remember whether the link is up, for ``edgeferry status``."""
        self._note_connection(connected, error)

    def on_progress(self, done: int, total: int) -> None:
        """Tell how far a download is; called for every block."""
        now = time.monotonic()
        if done < total and now - self._told_at < TELL_SECONDS:
            return
        self._told_at = now
        percent = 100 * done // total if total else 100
        notify(f"STATUS=downloading, {percent} %")
        body = json.dumps({"bytes_done": done, "bytes_total": total})
        message = Message(Kind.STATE, f"{STATE_PATH}/progress", body)
        self._journal.outbox.put(message, utc_now())

    def _count_bytes(self) -> None:
        """Add what came over the air since the last call to the update under way."""
        update_id = self._journal.current_update_id()
        fresh = self._downloads.downloaded_bytes - self._counted if self._downloads else 0
        if update_id is not None and fresh:
            self._journal.add_fetched(update_id, fresh)
            self._counted += fresh

    async def run(self) -> None:
        """Write the totals down now and then."""
        while True:
            await asyncio.sleep(TRAFFIC_SECONDS)
            self._note_traffic()

    def close(self) -> None:
        """Write down what is known at the end."""
        self._count_bytes()
        self._note_traffic()
        self._note_connection(False, None)

    def _note_connection(self, connected: bool, error: ProtocolError | None) -> None:
        trouble = "" if error is None else str(error)
        self._journal.note_fact("connected", json.dumps({"up": connected, "error": trouble}))

    def _note_traffic(self) -> None:
        now = self._session.traffic
        received = self._earlier.received_bytes + now.received_bytes
        sent = self._earlier.sent_bytes + now.sent_bytes
        totals = json.dumps({"received_bytes": received, "sent_bytes": sent})
        self._journal.note_fact("traffic", totals)


def stored_traffic(fact: str | None) -> Traffic:
    """Traffic totals as the journal holds them."""
    return Traffic(**json.loads(fact)) if fact else Traffic()
