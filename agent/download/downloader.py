"""Fetches the packages of a release: resumable, checked, each artifact once.

Rules:

* Smallest first, all through one engine, so that a model can't keep its labels waiting.
* The SHA-256 of the whole file decides, and nothing before it is believed for good. A complete file
  that hashes wrongly is fetched once more: what the link spoiled heals, a wrong artifact does not.
* Postponed when the link, the server or the disk is at fault, Rejected when the content is.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from agent.download.checkpoint import CheckpointPace, Checkpoints
from agent.download.engine import BlockSource
from agent.download.fetch_job import FetchJob, Ledger, Progress
from agent.download.partial import Partial
from agent.download.silence import Patience
from agent.download.statistics import DownloadStatistics
from agent.download.transfer import Transfer
from agent.download.window import WindowEngine
from agent.store.release_store import ReleaseStore
from states.model import Package
from states.ports import Postponed, Rejected
from states.reasons import Rejection, Transient

logger = logging.getLogger(__name__)

_ABSOLUTE_URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//")


@dataclass(frozen=True)
class DownloadSettings:
    """How artifacts are fetched.

    ``in_flight`` requests at a time at most, None for as many as the link carries; 1 is lock-step.
    """

    in_flight: int | None = None
    pace: CheckpointPace = field(default_factory=CheckpointPace)
    patience: Patience = field(default_factory=Patience)


class Downloader:
    """Implements :class:`agent.download.delta_fetcher.FullFetcher`."""

    def __init__(
        self,
        store: ReleaseStore,
        checkpoints: Checkpoints,
        source: BlockSource,
        settings: DownloadSettings,
    ) -> None:
        self._store = store
        self._checkpoints = checkpoints
        self._pace = settings.pace
        self._engine = WindowEngine(source, settings.in_flight, settings.patience)
        self._ledger = Ledger()

    @property
    def downloaded_bytes(self) -> int:
        """Payload of all answers since the start of the process, the useless ones included."""
        return self._ledger.downloaded_bytes

    @property
    def statistics(self) -> DownloadStatistics:
        """How the download under way is doing, or how the last one did."""
        return self._engine.statistics

    async def fetch(self, packages: tuple[Package, ...], progress: Progress) -> None:
        """Fetch all packages into the store.

        ``progress(bytes_done, bytes_total)`` counts what is held already. Raises Postponed or
        Rejected; what has arrived by then, or by a cancellation, stays for the next call.
        """
        for package in packages:
            _check_uri(package)
        wanted = {package.sha256: package for package in packages}.values()
        absent = sorted(
            (p for p in wanted if not self._store.has(p)), key=lambda p: (p.size, p.name)
        )
        held = sum(p.size for p in wanted) - sum(p.size for p in absent)
        self._check_space(absent)
        with self._opened(absent) as transfers:
            job = FetchJob(transfers, self._store, self._checkpoints, self._ledger, progress, held)
            try:
                job.start()
                await self._engine.run(job)
            finally:
                await job.rest()

    @contextmanager
    def _opened(self, absent: list[Package]) -> Iterator[list[Transfer]]:
        with ExitStack() as stack:
            yield [Transfer(p, stack.enter_context(self._partial(p))) for p in absent]

    def _partial(self, package: Package) -> Partial:
        path = self._store.partial_path(package)
        partial = Partial(
            path,
            package.sha256,
            package.size,
            self._checkpoints,
            pace=self._pace,
            files=self._store.files,
        )
        if partial.bytes_done:
            logger.info("resuming %s at %d of %d bytes", path, partial.bytes_done, package.size)
        return partial

    def _check_space(self, absent: list[Package]) -> None:
        needed = sum(package.size - self._store.fetched_bytes(package) for package in absent)
        available = self._store.available_bytes()
        if needed > available:
            raise Postponed(
                Transient.DISK_FULL,
                f"{self._store.state_dir}: {needed} bytes to fetch,"
                f" {available} free beside the reserve; free some space",
            )


def _check_uri(package: Package) -> None:
    """Golioth: artifacts are fetched from the server the device is connected to, by path."""
    if not package.uri or _ABSOLUTE_URI.match(package.uri):
        raise Rejected(
            Rejection.UNSUPPORTED_URI,
            f"{package.name} {package.version} is at {package.uri[:200]!r};"
            " only a path on the connected server can be fetched",
        )
