"""A device that serves, and the law in this process that updates it: for parts of ``make prove``.

The law, journal, store, verifier, sandbox, worker and engines are the real ones, the worker is a
process of its own; only the download is left out.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.assembly import LoopClock
from agent.config import Settings
from agent.gate import FileGate
from agent.journal.journal import SqliteJournal
from agent.journal.outbox import Message
from agent.parts import open_store, worker_of
from agent.store.release_store import ReleaseStore
from agent.trial.limits import TrialLimits
from agent.trial.verifier import ReleaseVerifier
from agent.trust.documents import SignatureDocuments
from agent.worker_port.client import WorkerClient
from demo.stage import Device, await_that
from states.conductor import Conductor
from states.model import Companion, Deployment, Package, Release
from states.ports import Evidence, Ports, Postponed
from states.update import Outcome, Transition, Update
from tests.prove.parts import Proof

Contents = dict[str, bytes]
"""Packages by name."""

PATIENCE = 120.0


class WatchedJournal(SqliteJournal):
    """Remembers how the last update ended."""

    last: Update | None = None

    def commit(self, transition: Transition) -> None:
        super().commit(transition)
        self.last = transition.update or self.last


class Shelf:
    """Implements :class:`states.ports.Fetcher`: what is fetched lies here already."""

    def __init__(self, store: ReleaseStore) -> None:
        self._store = store
        self.contents: dict[str, bytes] = {}

    def release(self, contents: Contents) -> Release:
        """The release of these packages, ready to be fetched."""
        packages = []
        for name, content in contents.items():
            digest = hashlib.sha256(content).hexdigest()
            self.contents[digest] = content
            packages.append(Package(name, "1", digest, len(content)))
        return Release(tuple(packages))

    async def fetch(
        self,
        packages: tuple[Package, ...],
        progress: Callable[[int, int], None],
        companions: tuple[Companion, ...],
    ) -> None:
        for package in packages:
            part = self._store.partial_path(package)
            part.write_bytes(self.contents[package.sha256])
            self._store.admit(package, part)


class ServingDevice:
    """A device that serves the good release, and the law in this process that updates it."""

    def __init__(
        self, settings: Settings, device: Device, journal: WatchedJournal, good: Contents
    ) -> None:
        store = open_store(settings)
        store.prepare()
        self._device, self._journal = device, journal
        self._shelf = Shelf(store)
        worker = worker_of(settings, store)
        assert isinstance(worker, WorkerClient)
        self._worker = worker
        # A model that hangs costs this much each time.
        limits = TrialLimits(wall_seconds=30, cpu_seconds=8, golden_seconds=5)
        verifier = ReleaseVerifier(
            store, settings.worker, settings.device.names, settings.update, limits
        )
        gate = FileGate(settings.device.state_dir, settings.gates())
        documents = SignatureDocuments(store, settings.device.names.handled)
        ports = Ports(journal, store, self._shelf, documents, verifier, worker, gate, LoopClock())
        self._conductor = Conductor(ports, settings.policy())
        self._sequence = 0
        self.good = self.release(good)

    def release(self, contents: Contents) -> Release:
        """The release of these packages; only what was made last can be fetched."""
        self._shelf.contents.clear()
        return self._shelf.release(contents)

    def window(self, update: Update) -> Evidence:
        """What was noted of an update's commit window."""
        return self._journal.evidence(update.id, "window") or {}

    async def offer(self, release: Release) -> Update:
        """Deploy a release and wait until the device has made up its mind."""
        self._sequence += 1
        conductor = self._conductor
        conductor.offer(Deployment(self._sequence, release))
        async with asyncio.timeout(PATIENCE):
            while conductor.has_news or conductor.update is not None:
                await conductor.step()
        assert self._journal.last is not None
        return self._journal.last

    async def see(self, case: str, proof: Proof) -> None:
        """The good release serves, and all frames are accounted for."""
        try:
            status = await self._worker.status()
        except Postponed as away:
            proof.broken.append(f"{case}: {away}; {self._device.worker.log_tail(500)}")
            return
        tallies = [status, *status["releases"].values()]
        if status["release"] != self.good.id:
            proof.broken.append(f"{case}: {status['release']} serves instead of the good release")
        if any(t["captured"] != t["classified"] + t["dropped"] for t in tallies):
            proof.broken.append(f"{case}: the frames don't balance")
        good = status["releases"].get(self.good.id, {})
        if good.get("errors"):
            proof.broken.append(f"{case}: the good release failed {good['errors']} times")

    async def look(self, proof: Proof) -> None:
        """What the worker counted in all that time."""
        status = await self._worker.status()
        proof.notes.append(
            f"frames: {status['captured']} captured = {status['classified']} classified + "
            f"{status['dropped']} dropped; one worker process all the time"
        )
        if not self._device.worker.running:
            proof.broken.append("the worker process ended")


@asynccontextmanager
async def serving_device(
    folder: Path, worker: dict[str, Any], update: dict[str, Any], good: Contents
) -> AsyncIterator[ServingDevice]:
    """A device, configured so, whose worker serves the good release."""
    device = Device(folder)
    device.configure({"worker": worker, "update": update})
    settings = Settings.model_validate(
        {"device": {"state_dir": device.state_dir}, "worker": worker, "update": update}
    )
    device.start("worker")
    device.state_dir.mkdir(parents=True, exist_ok=True)
    journal = WatchedJournal(device.state_dir / "state.db", _announce_nothing)
    try:
        await asyncio.to_thread(_await_socket, settings)
        serving = ServingDevice(settings, device, journal, good)
        first = await serving.offer(serving.good)
        assert first.outcome is Outcome.CONFIRMED, first
        yield serving
    finally:
        journal.close()
        device.stop()


def _announce_nothing(_transition: Transition, _now: str) -> tuple[Message, ...]:
    return ()


def _await_socket(settings: Settings) -> None:
    socket = settings.worker.socket_path(settings.device.state_dir)
    await_that("the worker's control socket", socket.exists, PATIENCE)
