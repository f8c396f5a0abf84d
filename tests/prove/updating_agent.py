"""Updates from the manifest to the end, by the agent's own parts, for parts about what lasts.

Law, store, downloader, patches and journal are the real ones. The server is counted, and what
would prove and serve a model knows the end before.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from agent.assembly import LoopClock
from agent.cloud.reporting import Announcer
from agent.download.checkpoint import CheckpointPace
from agent.download.delta_fetcher import DeltaFetcher
from agent.download.downloader import Downloader, DownloadSettings
from agent.gate import FileGate
from agent.journal.journal import Announce, SqliteJournal
from agent.store.files import Files
from agent.store.names import PackageNames
from agent.store.release_store import ReleaseStore
from agent.trust.documents import SignatureDocuments
from protocol.delta import companion_name, companion_version, make_patch
from states.conductor import Conductor
from states.figures import WorkerFigures
from states.gates import Gates
from states.model import Companion, Deployment, Package, Release
from states.policy import Policy, WindowLimits
from states.ports import Evidence, Ports, Rejected
from states.reasons import Rejection
from tests.prove.chaotic_device import Willing
from tests.support.counting_server import CountingServer

PACE = CheckpointPace(blocks=3, seconds=1e9)
IN_FLIGHT = 4
MODEL_BYTES = 9 * 1024
SOON = 0.001
PATIENCE = 60.0


class Fate(Enum):
    """What becomes of a release."""

    CONFIRMED = auto()
    FAILS_TRIAL = auto()
    FAILS_WINDOW = auto()
    WRONG_BYTES = auto()
    """The server has other bytes than the manifest says."""


@dataclass
class Scenario:
    """What is deployed to one device, and how it goes.

    In each wave, every deployment but the last is superseded by the next while it is fetched.
    """

    name: str
    waves: tuple[tuple[Fate, ...], ...]
    patched: bool = False
    """Whether each model after the first comes with a patch of the one before."""
    content: dict[str, bytes] = field(default_factory=dict)
    """What the server has, by path."""
    deployments: list[Deployment] = field(default_factory=list)
    fates: dict[str, Fate] = field(default_factory=dict)
    """By release id."""

    def __post_init__(self) -> None:
        chance = random.Random(self.name)
        for fate in (fate for wave in self.waves for fate in wave):
            self._add(fate, chance)

    def _add(self, fate: Fate, chance: random.Random) -> None:
        number = len(self.deployments)
        model, labels = self._model(number, chance), b"labels %d\n" % number
        packages = (
            self._package("ai-model", str(number), f"/model-{number}", model),
            self._package("labels", str(number), f"/labels-{number}", labels),
        )
        release = Release(packages)
        companions = self._patch(number, model) if self.patched and number else ()
        if fate is Fate.WRONG_BYTES:
            self.content[f"/model-{number}"] = model[:-1] + b"?"
        self.fates[release.id] = fate
        self.deployments.append(Deployment(number + 1, release, companions))

    def _model(self, number: int, chance: random.Random) -> bytes:
        fresh = chance.randbytes(MODEL_BYTES + number)
        if not self.patched or not number:
            return fresh
        return self.content[f"/model-{number - 1}"][: MODEL_BYTES // 2] + fresh[MODEL_BYTES // 2 :]

    def _package(self, name: str, version: str, uri: str, content: bytes) -> Package:
        self.content[uri] = content
        return Package(name, version, hashlib.sha256(content).hexdigest(), len(content), uri)

    def _patch(self, number: int, model: bytes) -> tuple[Companion, ...]:
        base = self.content[f"/model-{number - 1}"]
        digests = [hashlib.sha256(content).hexdigest() for content in (base, model)]
        patch = self._package(
            companion_name("ai-model"),
            companion_version(digests[0], digests[1]),
            f"/patch-{number}",
            make_patch(base, model),
        )
        return (Companion("ai-model", digests[0][:8], patch),)

    def serving_after(self, deployed: int) -> Release | None:
        """What must serve in the end when so many deployments were made."""
        superseded = self._superseded()
        last = self.deployments[deployed - 1].release
        good = [
            d.release
            for d in self.deployments[:deployed]
            if self.fates[d.release.id] is Fate.CONFIRMED
            and (d.release == last or d.sequence not in superseded)
        ]
        return good[-1] if good else None

    def _superseded(self) -> set[int]:
        """Sequence numbers of deployments that never come to an end undisturbed."""
        sequence, found = 0, set()
        for wave in self.waves:
            found |= set(range(sequence + 1, sequence + len(wave)))
            sequence += len(wave)
        return found


class Foreseeing:
    """Implements :class:`states.ports.Verifier`."""

    def __init__(self, fates: Mapping[str, Fate]) -> None:
        self._fates = fates

    async def verify(self, release: Release, known_good: bool) -> Evidence:
        if self._fates[release.id] is Fate.FAILS_TRIAL:
            raise Rejected(Rejection.MODEL_UNSUPPORTED, "as it was to be")
        return {}


class Fated(Willing):
    """A worker that begins with what is active, and whose bad releases fail on every frame."""

    def __init__(self, fates: Mapping[str, Fate], active: str | None) -> None:
        super().__init__()
        self._fates = fates
        self._serving = active

    async def figures(self) -> WorkerFigures:
        now = await super().figures()
        bad = now.serving is not None and self._fates[now.serving] is Fate.FAILS_WINDOW
        frames = now.captured
        return WorkerFigures(now.serving, frames, frames, dropped=0, errors=frames if bad else 0)


class UpdatingAgent:
    """The agent's parts on one state directory, as after a start. Close it in the end."""

    def __init__(
        self,
        root: Path,
        scenario: Scenario,
        files: Files,
        server: CountingServer,
    ) -> None:
        self.server = server
        self.store = ReleaseStore(
            root, names=PackageNames(), reserve_bytes=0, keep_releases=0, files=files
        )
        self.store.prepare()
        self.journal = self.open_journal(root / "state.db", Announcer(self._active_release))
        self._scenario = scenario
        self.opened()
        self.conductor = Conductor(self._ports(root), self.policy())

    def open_journal(self, path: Path, announce: Announce) -> SqliteJournal:
        """The journal; called once."""
        return SqliteJournal(path, announce)

    def policy(self) -> Policy:
        """The law's numbers: no wait is a long one."""
        return Policy(
            first_retry=SOON,
            longest_retry=SOON,
            retry_after_start=SOON,
            window=WindowLimits(frames=2, least_frames=1),
            figures_interval=SOON,
            idle_interval=SOON,
        )

    def opened(self) -> None:
        """Called when the journal is open and nothing has been made of it yet."""

    def gate(self, root: Path) -> FileGate:
        """When what may be done: at any time."""
        return FileGate(root, Gates())

    def _active_release(self) -> Release | None:
        active = self.store.active()
        return None if active is None else self.store.contents(active)

    def _ports(self, root: Path) -> Ports:
        store, journal, fates = self.store, self.journal, self._scenario.fates
        settings = DownloadSettings(IN_FLIGHT, PACE)
        downloader = Downloader(store, journal.checkpoints, self.server, settings)
        return Ports(
            journal=journal,
            store=store,
            fetcher=DeltaFetcher(downloader, store, journal.checkpoints),
            signatures=SignatureDocuments(store, PackageNames().handled),
            verifier=Foreseeing(fates),
            worker=Fated(fates, store.active()),
            gate=self.gate(root),
            clock=LoopClock(),
        )

    async def settle(self) -> None:
        """Work until nothing is left to do."""
        conductor = self.conductor
        async with asyncio.timeout(PATIENCE):
            while conductor.has_news or conductor.update is not None:
                await conductor.step()
