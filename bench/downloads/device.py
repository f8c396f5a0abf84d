"""A device that downloads what its manifest names, in a process of its own.

Everything of the agent that takes part in a download is the real thing: session, downloader,
patches, store, and the journal with its checkpoints and accounting. It tells ``ready`` when the
manifest is there, waits for a line, downloads, and tells its figures.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.cloud.manifests import deployment_of
from agent.cloud.progress import ProgressKeeper
from agent.config import DeviceSettings, Settings
from agent.download.delta_fetcher import DeltaFetcher
from agent.download.downloader import Downloader, DownloadSettings
from agent.journal.journal import SqliteJournal
from agent.parts import open_store
from bench.support.child import Told, next_line, run_child, tell
from protocol.block_requests import Settle
from protocol.credentials import PskCredential
from protocol.errors import ProtocolError, TooManyRequests
from protocol.manifest import Manifest
from protocol.session import DeviceSession, SessionSettings
from states.model import Deployment
from states.ports import Postponed
from states.update import Transition, Update

_PAUSE_AFTER_POSTPONEMENT = 1.0


class CountingSession(DeviceSession):
    """Counts the requests the server refused as too many."""

    refusals = 0

    def ask_block(
        self, uri: str, number: int, size_exponent: int, settle: Settle, *, confirmable: bool
    ) -> bytes:
        """As the session does."""

        def settled(outcome: Any) -> None:
            self.refusals += isinstance(outcome, TooManyRequests)
            settle(outcome)

        return super().ask_block(uri, number, size_exponent, settled, confirmable=confirmable)


@dataclass(frozen=True)
class Order:
    """What to do; ``sha256`` is the model to wait for, ``requests_per_second`` 0 for no limit."""

    host: str
    port: int
    identity: str
    key: str
    state_dir: str
    sha256: str
    requests_per_second: float = 0.0


class BenchDevice:
    """The parts of an agent that download."""

    def __init__(self, order: Order) -> None:
        self._wanted = order.sha256
        state_dir = Path(order.state_dir)
        self.store = open_store(Settings(device=DeviceSettings(state_dir=state_dir)))
        self.store.prepare()
        self.journal = SqliteJournal(state_dir / "state.db", lambda *_: ())
        kind = CountingSession if order.requests_per_second else DeviceSession
        self.session = kind(
            order.host,
            order.port,
            lambda: PskCredential(order.identity, order.key.encode()),
            settings=SessionSettings(requests_per_second=order.requests_per_second or None),
            on_manifest=self._on_manifest,
            on_connection=self._on_connection,
        )
        self.downloader = Downloader(
            self.store, self.journal.checkpoints, self.session, DownloadSettings()
        )
        self._fetcher = DeltaFetcher(self.downloader, self.store, self.journal.checkpoints)
        self._progress = ProgressKeeper(self.journal, self.session)
        self._progress.count(self.downloader)
        self.deployment: asyncio.Future[Deployment] = asyncio.get_running_loop().create_future()
        self.trouble = ""

    async def download(self) -> int:
        """Fetch the deployment; returns how often that had to be tried again."""
        deployment = await self.deployment
        update = Update(self.journal.next_update_id(), deployment, None)
        self.journal.commit(Transition("plan", "manifest-received", "downloading", update))
        postponements = 0
        while missing := self.store.missing(deployment.release):
            try:
                await self._fetcher.fetch(
                    missing, self._progress.on_progress, deployment.companions
                )
            except Postponed as difficulty:
                postponements += 1
                self.trouble = str(difficulty)
                await asyncio.sleep(_PAUSE_AFTER_POSTPONEMENT)
        return postponements

    def _on_manifest(self, manifest: Manifest) -> None:
        deployment = deployment_of(manifest, frozenset({"ai-model"}))
        if deployment is None or self.deployment.done():
            return
        if any(package.sha256 == self._wanted for package in deployment.release.packages):
            self.deployment.set_result(deployment)

    def _on_connection(self, connected: bool, error: ProtocolError | None) -> None:
        self._progress.on_connection(connected, error)


async def serve(told: Told) -> None:
    """Do what the order says."""
    order = Order(**told)
    device = BenchDevice(order)
    running = asyncio.create_task(device.session.run())
    with closing(device.journal):
        await device.deployment
        tell("ready", held_bytes=device.journal.checkpoints.held_bytes(order.sha256))
        await next_line()
        written = _written_bytes()
        began, cpu = time.perf_counter(), time.process_time()
        postponements = await device.download()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        statistics = device.downloader.statistics
        traffic = device.session.traffic
    tell(
        "done",
        seconds=seconds,
        cpu_seconds=cpu,
        postponements=postponements,
        trouble=device.trouble,
        refusals=getattr(device.session, "refusals", 0),
        retransmissions=statistics.retransmissions,
        payload_bytes=device.downloader.downloaded_bytes,
        received_bytes=traffic.received_bytes,
        sent_bytes=traffic.sent_bytes,
        written_bytes=_written_bytes() - written,
    )
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def _written_bytes() -> int:
    """Bytes this process has handed to write(): files and pipes, not sockets."""
    lines = Path("/proc/self/io").read_text().splitlines()
    figures = dict(line.split(": ") for line in lines)
    return int(figures["wchar"])


if __name__ == "__main__":
    run_child(serve)
