"""A small world for the law: every port in memory, accidents on demand, time that jumps."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from states.conductor import Conductor
from states.figures import Comparison, WorkerFigures
from states.gates import Step
from states.model import Companion, Deployment, Package, Release
from states.policy import Policy
from states.ports import Evidence, Ports, Postponed
from states.reasons import Transient
from states.trust import SignedRelease
from tests.states.memory_journal import MemoryJournal

GOOD_PATH = [
    "manifest-received",
    "downloading",
    "verifying",
    "activating",
    "confirming",
    "reporting",
    "idle",
]
"""The states of an update in which nothing goes wrong."""


def release(version: str, model_size: int = 1000, *, labels: bool = True) -> Release:
    """A release of a model and its labels, both of that version."""
    packages = [Package("ai-model", version, version.rjust(64, "a"), model_size, f"m@{version}")]
    if labels:
        packages.append(Package("labels", version, version.rjust(64, "b"), 10, f"l@{version}"))
    return Release(tuple(packages))


def deployment(version: str, sequence: int = 1) -> Deployment:
    """One manifest offering :func:`release` of that version."""
    return Deployment(sequence, release(version))


class VirtualClock:
    """Jumps to the next sleeper whenever everybody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self.now + seconds, self._count, future))
        await future

    async def pump(self) -> None:
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
            while self._sleepers and self._sleepers[0][2].cancelled():
                heapq.heappop(self._sleepers)
            if self._sleepers:
                self.now, _, future = heapq.heappop(self._sleepers)
                future.set_result(None)


Accident = Callable[[], None]


@dataclass
class World:
    """Disk, network, verifier and worker together; ``accidents[step]`` are used up one per call."""

    blobs: set[str] = field(default_factory=set)
    folders: dict[str, Release] = field(default_factory=dict)
    current: str | None = None
    previous_link: str | None = None
    documents: dict[str, SignedRelease] = field(default_factory=dict)
    """What signature packages say, by their SHA-256."""
    free: int = 1_000_000
    partial: dict[str, int] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    serving: str | None = None
    prepared: str | None = None
    shadow: str | None = None
    shadowed: set[str] = field(default_factory=set)
    comparing: Comparison | None = None
    """What the worker's comparison shows whenever it has a shadow."""
    commits: int = 0
    fell_back_from: str | None = None
    fell_back_for: Transient | None = None
    instance: int = 1
    frames: float = 0
    frames_per_look: float = 50
    errors: int = 0
    camera: bool = True
    accidents: dict[str, list[Exception | BaseException | Accident]] = field(default_factory=dict)
    switches: list[str | None] = field(default_factory=list)
    closed_gates: set[Step] = field(default_factory=set)

    def meet(self, step: str) -> None:
        queue = self.accidents.get(step, [])
        if queue:
            accident = queue.pop(0)
            if isinstance(accident, BaseException):
                raise accident
            accident()

    # Store
    def missing(self, wanted: Release) -> tuple[Package, ...]:
        absent = (p for p in wanted.packages if p.sha256 not in self.blobs)
        return tuple(sorted(absent, key=lambda p: p.size))

    def available_bytes(self) -> int:
        return self.free

    def fetched_bytes(self, package: Package) -> int:
        return self.partial.get(package.sha256, 0)

    def holds_base(self, prefix: str) -> bool:
        return any(sha256.startswith(prefix) for sha256 in self.blobs)

    def active(self) -> str | None:
        return self.current

    def previous(self) -> str | None:
        return self.previous_link

    def contents(self, release_id: str) -> Release | None:
        return self.folders.get(release_id)

    def assemble(self, wanted: Release) -> None:
        self.meet("assemble")
        assert not self.missing(wanted)
        self.folders[wanted.id] = wanted

    def switch(self, release_id: str | None, previous: str | None) -> None:
        self.meet("switch")
        assert release_id is None or release_id in self.folders
        self.current, self.previous_link = release_id, previous
        self.switches.append(release_id)
        self.meet("switched")

    def holds(self, release_id: str) -> bool:
        return release_id in self.folders

    def collect(self, wanted: Iterable[Release] = (), confirmed: Sequence[str] = ()) -> None:
        self.meet("collect")

    # Gate
    def closed(self, step: Step) -> str | None:
        return "made up" if step in self.closed_gates else None

    # Fetcher
    async def fetch(
        self,
        packages: tuple[Package, ...],
        progress: Callable[[int, int], None],
        companions: tuple[Companion, ...],
    ) -> None:
        for package in packages:
            self.meet("fetch")
            self.fetched.append(package.sha256)
            self.blobs.add(package.sha256)
            progress(package.size, package.size)

    # Signatures
    def read(self, signature: Package) -> SignedRelease:
        assert signature.sha256 in self.blobs
        self.meet("read")
        return self.documents[signature.sha256]

    # Verifier
    async def verify(self, wanted: Release, known_good: bool) -> Evidence:
        self.meet("verify")
        return {"known_good": known_good}

    # Worker
    async def prepare(self, release_id: str) -> None:
        self.meet("prepare")
        self.prepared = release_id

    async def commit(self, release_id: str, watch: bool) -> Evidence:
        self.meet("commit")
        assert release_id in {self.prepared, self.serving, self.shadow}
        self.commits += 1
        if release_id != self.serving:
            self.shadow = self.serving if watch else None
            self.shadowed |= {self.shadow} if self.shadow else set()
            self.serving, self.frames, self.errors = release_id, 0, 0
            self.fell_back_from = self.fell_back_for = None
        return {"gap_ms": 1.0, "shadow": self.shadow, "drained": False}

    async def settle(self, release_id: str) -> None:
        self.meet("settle")
        self.shadow = None

    async def withdraw(self) -> None:
        self.meet("withdraw")
        self.serving = None

    async def figures(self) -> WorkerFigures:
        self.meet("figures")
        if self.serving and self.camera:
            self.frames += self.frames_per_look
        return WorkerFigures(
            self.serving,
            int(self.frames),
            int(self.frames),
            0,
            self.errors,
            self._comparison(),
            self.fell_back_from,
            "its engine crashed" if self.fell_back_from else "",
            self.fell_back_for,
            str(self.instance),
        )

    def _comparison(self) -> Comparison | None:
        if self.shadow is None or self.serving is None or self.comparing is None:
            return None
        return replace(self.comparing, release=self.serving, previous=self.shadow, shadowing=True)

    def fall_back(self, reason: Transient | None = None) -> None:
        """The worker leaves the active release for the one before, as it does by itself."""
        self.fell_back_from, self.serving = self.current, self.previous_link
        self.fell_back_for = reason
        self.frames = self.errors = 0

    def restart_worker(self) -> None:
        """A worker that starts serves what ``current`` names."""
        self.instance += 1
        self.serving, self.shadow = self.current, None
        self.frames = self.errors = 0


class Device:
    """One device: a world, a journal and a clock that outlive the agent."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.world = World()
        self.journal = MemoryJournal()
        self.clock = VirtualClock()
        self.policy = policy or Policy()

    def start(self) -> Conductor:
        """Start the agent anew on what the journal holds."""
        world = self.world
        ports = Ports(self.journal, world, world, world, world, world, world, self.clock)
        return Conductor(ports, self.policy)

    @asynccontextmanager
    async def pumping(self) -> AsyncIterator[None]:
        pump = asyncio.ensure_future(self.clock.pump())
        try:
            yield
        finally:
            pump.cancel()

    async def settle(self, conductor: Conductor, limit: int = 60) -> None:
        """Run until Idle with nothing more to consider."""
        async with self.pumping():
            for _ in range(limit):
                await conductor.step()
                if conductor.state == "idle" and not conductor.has_news:
                    return
        raise AssertionError(f"never came to rest: {self.journal.path[-12:]}")

    async def begin_with(self, version: str) -> None:
        """Deliver that release; what happened until it serves is forgotten."""
        await self.deliver(version)
        assert self.world.serving == release(version).id
        self.journal.steps.clear()
        self.journal.noted.clear()
        self.world.fetched.clear()

    async def deliver(self, version: str, sequence: int = 1) -> Conductor:
        """Start, hand over one manifest, and run to the end."""
        conductor = self.start()
        conductor.offer(deployment(version, sequence))
        await self.settle(conductor)
        return conductor


def postponed(reason: object, times: int) -> Iterator[Postponed]:
    """The same difficulty a number of times."""
    return (Postponed(reason, "made up") for _ in range(times))  # type: ignore[arg-type]
