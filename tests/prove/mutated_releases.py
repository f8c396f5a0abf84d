"""Damaged models, model.json, labels and golden sets, offered as releases to a serving device.

The law, journal, store, verifier, sandbox, worker and engines are the real ones, the worker is a
process of its own; only the download is left out. It holds when the worker and this process
survive, when every release gets a reason or proves itself harmless, and when the active release
classifies every frame it is given without one failure.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, get_args

from agent.config import Settings
from agent.daemon import LoopClock
from agent.gate import FileGate
from agent.journal.journal import SqliteJournal
from agent.journal.outbox import Message
from agent.parts import open_store, worker_of
from agent.store.release_store import ReleaseStore
from agent.trial.trial import TrialLimits
from agent.trial.verifier import ReleaseVerifier
from agent.worker.choices import RuntimeName
from agent.worker_port.client import WorkerClient
from demo.stage import Device
from states.conductor import Conductor
from states.model import Companion, Deployment, Package, Release
from states.ports import Ports, Postponed
from states.update import Outcome, Transition, Update
from tests.prove.parts import Budget, Part, Progress, Proof
from tests.support.golden import archive, coloured
from tests.support.mutations import mutated_bytes, mutated_model
from tests.support.runtimes import works
from tests.support.tiny_models import TinyModel, reversed_colours

Contents = dict[str, bytes]

MODELS = 520
OF_EACH_OTHER = 20
PATIENCE = 120.0
DEMO = Path(__file__).parents[2] / "demo" / "models"

GOOD: Contents = {
    "ai-model": TinyModel().build(),
    "labels": b"red\ngreen\n",
    "model-settings": json.dumps({"format": 1, "resize": "squash"}).encode(),
    "golden-set": archive(coloured("red", "green")),
}


def parts() -> tuple[Part, ...]:
    """One for each runtime that works here."""
    about = "damaged releases harm neither agent nor worker nor the model that serves"
    names = [name for name in get_args(RuntimeName) if name != "auto" and works(name)]
    return tuple(
        Part(f"mutated-releases-{name}", about, partial(prove, runtime=name)) for name in names
    )


async def prove(folder: Path, budget: Budget, progress: Progress, *, runtime: RuntimeName) -> Proof:
    """Offer one damaged release after the other."""
    proof = Proof(MODELS + 3 * OF_EACH_OTHER)
    async with serving_device(folder, runtime) as device:
        for number in order():
            progress(proof.done, proof.wanted)
            if proof.done and budget.spent:
                break
            await device.offer_damaged(number, proof)
            proof.done += 1
            if len(proof.broken) > 10:
                break
        await device.look(proof)
    progress(proof.done, proof.wanted)
    return proof


def order() -> list[int]:
    """Numbers of all cases, so that a short run has some of each kind."""
    others = [MODELS + number for number in range(3 * OF_EACH_OTHER)]
    numbers = list(range(MODELS))
    for position, number in enumerate(others):
        numbers.insert((position + 1) * 8, number)
    return numbers


def damaged(number: int) -> tuple[str, Contents]:
    """How release ``number`` is damaged, and its packages."""
    if number < MODELS:
        # Mostly the small one, for its few bytes are nearly all structure.
        base = GOOD["ai-model"] if number % 3 else (DEMO / "model-2.tflite").read_bytes()
        how, model = mutated_model(base, reversed_colours().build(), number)
        return f"model: {how}", {**GOOD, "ai-model": model}
    name = ("model-settings", "labels", "golden-set")[number % 3]
    return f"{name} damaged", {**GOOD, name: mutated_bytes(GOOD[name], number // 3)}


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

    def __init__(self, settings: Settings, device: Device, journal: WatchedJournal) -> None:
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
        ports = Ports(journal, store, self._shelf, verifier, worker, gate, LoopClock())
        self._conductor = Conductor(ports, settings.policy())
        self._sequence = 0
        self.good = self._shelf.release(GOOD)

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

    async def offer_damaged(self, number: int, proof: Proof) -> None:
        """Offer damaged release ``number``, see what became of it, and return to the good one."""
        how, contents = damaged(number)
        case = f"release {number} ({how})"
        release = self._shelf.release(contents)
        if release.id == self.good.id:
            proof.counts["no damage at all"] += 1
            return
        try:
            ended = await self.offer(release)
        except TimeoutError:
            proof.broken.append(f"{case}: still undecided after {PATIENCE:g} s")
            return
        self._shelf.contents.clear()
        if ended.outcome is Outcome.CONFIRMED:
            proof.counts["harmless: served, then left again"] += 1
            self._shelf.release(GOOD)
            await self.offer(self.good)
        elif ended.reason is None or not ended.detail:
            proof.broken.append(f"{case}: {ended.outcome} without a reason")
        else:
            proof.counts[f"{ended.outcome}: {ended.reason}"] += 1
        await self._see(case, proof)

    async def _see(self, case: str, proof: Proof) -> None:
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
async def serving_device(folder: Path, runtime: RuntimeName) -> AsyncIterator[ServingDevice]:
    """A device whose worker serves the good release."""
    device = Device(folder)
    worker: dict[str, Any] = {"source": "synthetic:", "frames_per_second": 20, "runtime": runtime}
    window = {"window_frames": 5, "window_least_frames": 1}
    device.configure({"worker": worker, "update": window})
    settings = Settings(
        device={"state_dir": device.state_dir},
        worker=worker,
        update=window,
    )
    device.start("worker")
    device.state_dir.mkdir(parents=True, exist_ok=True)
    journal = WatchedJournal(device.state_dir / "state.db", _announce_nothing)
    try:
        await asyncio.to_thread(_await_socket, settings)
        serving = ServingDevice(settings, device, journal)
        first = await serving.offer(serving.good)
        assert first.outcome is Outcome.CONFIRMED, first
        yield serving
    finally:
        journal.close()
        device.stop()


def _announce_nothing(_transition: Transition, _now: str) -> tuple[Message, ...]:
    return ()


def _await_socket(settings: Settings) -> None:
    from demo.stage import await_that

    socket = settings.worker.socket_path(settings.device.state_dir)
    await_that("the worker's control socket", socket.exists, PATIENCE)
