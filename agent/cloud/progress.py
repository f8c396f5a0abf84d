"""What is worth telling while the agent works: bytes, the link, traffic totals.

Written rarely: flash wears, and Golioth counts requests.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Protocol

from agent.cloud.reporting import STATE_PATH
from agent.download.statistics import DownloadStatistics
from agent.journal.journal import Fetched, SqliteJournal
from agent.journal.outbox import Kind, Message
from agent.service.refusals import left_out
from agent.wall_clock import utc_now
from protocol.errors import ProtocolError, code_of
from protocol.session import DeviceSession, Traffic
from protocol.trouble import Trouble

logger = logging.getLogger(__name__)

TELL_SECONDS = 2.0
"""Least time between two tellings of a download's progress."""
TRAFFIC_SECONDS = 60.0
"""How often traffic totals are written down; a power cut loses at most that much of them."""


class Downloads(Protocol):
    """The downloader, as far as it is looked at here."""

    @property
    def downloaded_bytes(self) -> int:
        """Payload bytes since the start."""

    @property
    def statistics(self) -> DownloadStatistics:
        """How the link does."""


class ProgressKeeper:
    """Keeps the journal's facts and the cloud's progress bar current.

    All of that is for people: on a disk that refuses, it is left out.
    """

    def __init__(self, journal: SqliteJournal, session: DeviceSession) -> None:
        self._journal = journal
        self._session = session
        self._earlier = stored_traffic(journal.fact("traffic"))
        self._downloads: Downloads | None = None
        self._counted = Fetched()
        self._told_at = 0.0
        self._done = 0
        self.percent = 0
        """How far the download under way is."""
        self._trouble = Trouble(logger, "noting how the link and downloads do")
        self.on_connection(False, None)
        # With every checkpoint, so that bytes and progress agree after a power cut too.
        journal.checkpoints.on_save = self._count_fetched

    def count(self, downloads: Downloads) -> None:
        """Take an update's figures from here."""
        self._downloads = downloads

    @property
    def moved_bytes(self) -> int:
        """Changes whenever a download gets on, over the air or by patching what is on disk."""
        return self._done + (self._downloads.downloaded_bytes if self._downloads else 0)

    def on_connection(self, connected: bool, error: ProtocolError | None) -> None:
        """Remember whether the link is up, for ``edgeferry status``."""
        self.connected = connected
        trouble = {} if error is None else {"error": str(error), "code": code_of(error)}
        self._link = json.dumps({"up": connected, **trouble})
        self._note_link()

    def on_progress(self, done: int, total: int) -> None:
        """Tell how far a download is; called for every block."""
        self._done, self.percent = done, 100 * done // total if total else 100
        now = time.monotonic()
        if done < total and now - self._told_at < TELL_SECONDS:
            return
        self._told_at = now
        self._tell(done, total)

    def _tell(self, done: int, total: int) -> None:
        body: dict[str, float | int | None] = {"bytes_done": done, "bytes_total": total}
        with left_out(self._trouble):
            if self._downloads is not None:
                figures = link_figures(self._downloads.statistics, total - done)
                self._journal.note_fact("download", json.dumps(figures))
                body |= {name: figures[name] for name in ("bytes_per_second", "eta_s")}
            message = Message(Kind.STATE, f"{STATE_PATH}/progress", json.dumps(body))
            self._journal.outbox.put(message, utc_now())

    def _count_fetched(self) -> None:
        """Add what came over the air since the last call to the update under way."""
        update_id = self._journal.current_update_id()
        if self._downloads is None or update_id is None:
            return
        link = self._downloads.statistics
        now = Fetched(self._downloads.downloaded_bytes, link.blocks, link.retransmissions)
        if now != self._counted:
            self._journal.add_fetched(update_id, now.since(self._counted))
            self._counted = now

    async def run(self) -> None:
        """Write the totals down now and then."""
        while True:
            await asyncio.sleep(TRAFFIC_SECONDS)
            self._note_traffic()
            self._note_link()

    def close(self) -> None:
        """Write down what is known at the end."""
        with left_out(self._trouble):
            self._count_fetched()
        self._note_traffic()
        self.on_connection(False, None)

    def _note_link(self) -> None:
        with left_out(self._trouble):
            self._journal.note_fact("connected", self._link)

    def _note_traffic(self) -> None:
        now = self._session.traffic
        received = self._earlier.received_bytes + now.received_bytes
        sent = self._earlier.sent_bytes + now.sent_bytes
        totals = json.dumps({"received_bytes": received, "sent_bytes": sent})
        with left_out(self._trouble):
            self._journal.note_fact("traffic", totals)


def link_figures(link: DownloadStatistics, missing_bytes: int) -> dict[str, float | int | None]:
    """What ``status`` shows of a download under way; times in ms, the time left in seconds."""
    rate = link.bytes_per_second
    return {
        "blocks": link.blocks,
        "retransmissions": link.retransmissions,
        "rtt_ms": _milliseconds(link.smoothed_rtt),
        "minimum_rtt_ms": _milliseconds(link.minimum_rtt),
        "window": link.window,
        "bytes_per_second": round(rate),
        "eta_s": round(missing_bytes / rate, 1) if rate else None,
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 1)


def stored_traffic(fact: str | None) -> Traffic:
    """Traffic totals as the journal holds them."""
    return Traffic(**json.loads(fact)) if fact else Traffic()
