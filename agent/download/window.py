"""The engine: as many requests in flight as the link carries, each lost one sent again."""

from __future__ import annotations

import asyncio

from agent.download.engine import BlockSource, BlockWork
from agent.download.round_trips import RoundTrips
from agent.download.run import Run, Totals
from agent.download.silence import Patience
from agent.download.statistics import DownloadStatistics, Throughput

LARGEST_WINDOW = 1024
"""Requests under way at most; with their answers about 1 MiB of memory."""


class WindowEngine:
    """Runs one piece of work at a time. ``in_flight`` caps the window; 1 is lock-step."""

    def __init__(
        self, source: BlockSource, in_flight: int | None, patience: Patience | None = None
    ) -> None:
        self._source = source
        self._largest = min(in_flight or LARGEST_WINDOW, LARGEST_WINDOW)
        self._patience = patience or Patience()
        self._totals = Totals()
        self._throughput = Throughput()
        self._run: Run | None = None

    @property
    def statistics(self) -> DownloadStatistics:
        """How it goes; round trips and window are those of the last run."""
        run, now = self._run, asyncio.get_running_loop().time()
        trips = run.round_trips if run else RoundTrips()
        return DownloadStatistics(
            blocks=self._totals.blocks,
            retransmissions=self._totals.retransmissions,
            smoothed_rtt=trips.smoothed,
            minimum_rtt=None if trips.smoothed is None else trips.minimum,
            window=run.congestion.window if run else 0,
            bytes_per_second=self._throughput.rate(now),
        )

    async def run(self, work: BlockWork) -> None:
        """Fetch until nothing is left to ask and nothing under way. Raises what the work raises."""
        self._run = run = Run(
            self._source, work, self._largest, self._patience, self._totals, self._throughput
        )
        try:
            await run.finished
        finally:
            run.stop()
