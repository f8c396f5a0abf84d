"""Every state a power cut may leave, of store and journal, from the first byte to the report.

Whole updates are recorded: what the store does to files, and what SQLite has written after each
statement. The power is cut after a step; a model of a POSIX file system decides by chance which
unsynced names and bytes survived, down to sectors, and puts the result on a real disk. There the
agent is started again, has to keep the promises at once, and brings the update to its end. In
every third case the power is cut once more while it does.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from agent.store.files import Files
from states.model import Release
from tests.prove.parts import Budget, Part, Progress, Proof
from tests.prove.updating_agent import IN_FLIGHT, PACE, Fate, Scenario, UpdatingAgent
from tests.support.counting_server import BLOCK, CountingServer
from tests.support.disk_model import Disk, Recorder, Steps
from tests.support.journal_recorder import JournalSteps

GOOD = Fate.CONFIRMED
SCENARIOS = (
    Scenario("first install", ((GOOD,),)),
    Scenario("updates", ((GOOD,), (GOOD,), (GOOD,))),
    Scenario("patches", ((GOOD,), (GOOD,), (GOOD,)), patched=True),
    Scenario("rollback", ((GOOD,), (Fate.FAILS_WINDOW,), (GOOD,))),
    Scenario("superseded", ((GOOD,), (GOOD, GOOD, GOOD))),
    Scenario("rejection", ((GOOD,), (Fate.FAILS_TRIAL,), (GOOD,))),
    Scenario("wrong bytes", ((GOOD,), (Fate.WRONG_BYTES,), (GOOD,))),
)
STATES_PER_STEP = 3
TWICE_CUT = 3
"""Of so many cases, in one the power is cut a second time."""
SUPERSEDED_AFTER = 4
"""Blocks of a model that are asked for before the next deployment is made."""


def parts() -> tuple[Part, ...]:
    """The one part there is."""
    about = "whatever a power cut leaves of store and journal, the update goes on from there"
    return (Part("crash-states", about, prove),)


@dataclass(frozen=True)
class Case:
    """One power cut: after ``step`` steps, with the chance of ``seed``."""

    scenario: Scenario
    steps: Steps
    step: int
    seed: str

    def __str__(self) -> str:
        return f"{self.scenario.name}, cut after {self.step} of {len(self.steps)}, {self.seed}"


async def prove(
    folder: Path,
    budget: Budget,
    progress: Progress,
    scenarios: Sequence[Scenario] = SCENARIOS,
) -> Proof:
    """Record every scenario, then cut the power everywhere, in an order that mixes them."""
    recorded = [(s, await record(new_folder(folder / f"recorded-{s.name}"), s)) for s in scenarios]
    cases = [
        Case(scenario, steps, step, f"state {sample}")
        for scenario, steps in recorded
        for step in range(len(steps) + 1)
        for sample in range(STATES_PER_STEP)
    ]
    random.Random(1).shuffle(cases)
    proof = Proof(len(cases))
    for number, case in enumerate(cases):
        progress(proof.done, proof.wanted)
        if (proof.done and budget.spent) or len(proof.broken) > 10:
            break
        root = new_folder(folder / "case")
        await _try(case, root, proof, twice=number % TWICE_CUT == 0)
        rmtree(root)
        proof.done += 1
    progress(proof.done, proof.wanted)
    return proof


def new_folder(folder: Path) -> Path:
    """Make a folder."""
    folder.mkdir()
    return folder


async def _try(case: Case, root: Path, proof: Proof, *, twice: bool) -> None:
    chance = random.Random(str(case))
    disk = Disk()
    for step in case.steps[: case.step]:
        step(disk)
    try:
        await _cut_and_recover(case.scenario, disk, root, chance, proof, cuts=2 if twice else 1)
    except Exception as failure:  # noqa: BLE001 - whatever it is, the agent must cope
        proof.broken.append(f"{case}: {failure!r}")
    proof.counts[case.scenario.name] += 1


async def _cut_and_recover(
    scenario: Scenario,
    disk: Disk,
    root: Path,
    chance: random.Random,
    proof: Proof,
    *,
    cuts: int,
) -> None:
    """Cut the power so often, and check what is left and how it ends."""
    for cut in range(1, cuts + 1):
        state = root / f"cut-{cut}"
        disk.after_power_cut(state, chance)
        _scribble_over_shared_memory(state, chance)
        proof.counts["states"] += 1
        check_what_is_left(state, scenario)
        again = Disk.holding(state)
        again.asked, again.deployed = disk.asked.copy(), disk.deployed
        steps = await _recover(state, scenario, again)
        disk = again
        stop = chance.randrange(len(steps) + 1) if cut < cuts else len(steps)
        for step in steps[:stop]:
            step(disk)
    check_the_end(state, scenario, disk, cuts)


def _scribble_over_shared_memory(state: Path, chance: random.Random) -> None:
    """SQLite's index of the log is never synced, so anything may be in it."""
    if (state / "state.db").exists() and chance.random() < 0.5:
        (state / "state.db-shm").write_bytes(chance.randbytes(32 * 1024))


class RecordedAgent(UpdatingAgent):
    """An agent of which everything that lasts is recorded. It is never closed in order."""

    def __init__(self, root: Path, scenario: Scenario, disk: Disk) -> None:
        self.steps = JournalSteps(root, disk)
        server = CountingServer(scenario.content, self.steps)
        super().__init__(root, scenario, self._files(root), server)

    def _files(self, root: Path) -> Files:
        return Recorder(root, self.steps)

    def opened(self) -> None:
        self.steps.follow(self.journal._db)

    def deploy(self, number: int) -> None:
        """Make deployment ``number``, counted from 1."""
        self.steps.append(lambda disk: setattr(disk, "deployed", number))
        self.conductor.offer(self._scenario.deployments[number - 1])

    def close(self) -> None:
        """End the recording, so that closing the journal is no part of it."""
        self.steps.unfollow()
        self.journal.close()


async def record(root: Path, scenario: Scenario) -> Steps:
    """Every step of a device to which all of a scenario is deployed, undisturbed."""
    agent = RecordedAgent(root, scenario, Disk())
    number = 0
    for wave in scenario.waves:
        number += 1
        agent.deploy(number)
        settling = asyncio.ensure_future(agent.settle())
        for _ in wave[1:]:
            await agent.server.until_asked(f"/model-{number - 1}", SUPERSEDED_AFTER)
            number += 1
            agent.deploy(number)
        await settling
    agent.close()
    return agent.steps


async def _recover(root: Path, scenario: Scenario, disk: Disk) -> Steps:
    """Start the agent on what is left, and let it bring to an end what is deployed."""
    agent = RecordedAgent(root, scenario, disk)
    try:
        check_what_is_left(root, scenario)
        agent.deploy(max(1, disk.deployed))
        await agent.settle()
        check_decisions(agent, scenario, max(1, disk.deployed))
    finally:
        agent.close()
    return agent.steps


def check_what_is_left(root: Path, scenario: Scenario) -> None:
    """The promises that hold at any moment, before and after the agent's start."""
    for blob in (root / "blobs").glob("[!.]*"):
        assert _sha256(blob) == blob.name, f"blobs/{blob.name} is not what its name says"
    current = root / "current"
    if current.is_symlink():
        _check_served(current, scenario)
    assert not list(root.glob("state.db.*")), "the journal was put aside"


def _check_served(folder: Path, scenario: Scenario) -> None:
    """A folder's files are those of the one release that it is named after."""
    release = _release(folder.resolve(strict=True).name, scenario)
    for package in release.packages:
        file = {"ai-model": "ai-model.tflite", "labels": "labels.txt"}[package.name]
        assert _sha256(folder / file) == package.sha256, f"{folder.name}/{file} is another"
    version = (folder / "version.txt").read_text()
    assert version == f"{release.packages[0].version}\n", f"{folder.name}/version.txt: {version!r}"


def _release(release_id: str, scenario: Scenario) -> Release:
    return next(d.release for d in scenario.deployments if d.release.id == release_id)


def check_decisions(agent: UpdatingAgent, scenario: Scenario, deployed: int) -> None:
    """The update has ended as it had to: confirmed, or rejected and never mistaken."""
    last = scenario.deployments[deployed - 1].release
    wanted = scenario.serving_after(deployed)
    active, journal = agent.store.active(), agent.journal
    assert active == (wanted.id if wanted else None), f"{active} serves instead of {wanted}"
    rejected = journal.rejected_releases()
    for release_id in rejected:
        assert scenario.fates[release_id] is not GOOD, f"good {release_id} was rejected"
    if scenario.fates[last.id] is GOOD:
        assert last.id in journal.confirmed_releases(), f"{last.id} was never confirmed"
    else:
        assert last.id in rejected, f"bad {last.id} was not rejected"
    assert agent.conductor.state == "idle"


def check_the_end(root: Path, scenario: Scenario, disk: Disk, cuts: int) -> None:
    """What was fetched, and what lies on the disk, when all is over."""
    check_what_is_left(root, scenario)
    _check_served(root / "current", scenario)
    assert list((root / "partial").iterdir()) == []
    for deployment in scenario.deployments:
        if scenario.fates[deployment.release.id] is Fate.WRONG_BYTES:
            continue
        patches = [companion.patch for companion in deployment.companions]
        for package in (*deployment.release.packages, *patches):
            blocks = -(-package.size // BLOCK)
            twice = disk.asked[package.uri] - blocks
            # One checkpoint, and what was under way, for each time the power was cut.
            allowed = cuts * (PACE.blocks + IN_FLIGHT)
            assert twice <= allowed, f"{twice} blocks of {package.uri} were fetched again"
        if patches:
            model = deployment.release.package("ai-model")
            assert model is not None
            assert not disk.asked[model.uri], "fetched in full in spite of its patch"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
