"""SIGKILL of agent, worker, engine and cloud: after each step of the journal, and at random times.

Devices of real processes are updated again and again. During each update some of the processes are
killed and started again: after the n-th commit to the journal, for every n there is, or after a
random time. After each kill of the agent only verified bytes may be reachable; each update ends
with the new release serving, or, where an engine was killed as a crashing model kills it, with the
release before and a reason.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from demo.cloud_process import CloudProcess
from demo.stage import Document, StageError, serves
from tests.prove.parts import Budget, Part, Progress, Proof
from tests.support.commits import Commits, watching
from tests.support.on_disk import journal_was_never_put_aside, only_verified_bytes_are_reachable
from tests.system.conftest import Bench, assert_all_counted, make_bench

KILLS = 1020
LANES = 3
KILLS_PER_UPDATE = 4
"""Fewer than the restarts after which a release counts as what kills the agent."""
VICTIMS = ("agent", "agent", "agent", "worker", "engine", "cloud")
COMMITS = 40
"""More than an update has, so that the agent is killed after each of them."""
PATIENCE = 180.0
MODEL_BYTES = 120_000
PACE = {"EDGEFERRY_GOLIOTH__REQUESTS_PER_SECOND": "150"}


def parts() -> tuple[Part, ...]:
    """The one part there is."""
    about = "SIGKILL of agent, worker, engine and cloud at every step and at random times"
    return (Part("kill-sweep", about, prove),)


async def prove(
    folder: Path, budget: Budget, progress: Progress, kills: int = KILLS, lanes: int = LANES
) -> Proof:
    """Some devices beside each other, each with a cloud of its own."""
    proof = Proof(kills)
    async with asyncio.TaskGroup() as group:
        for number in range(lanes):
            lane = Lane(number, folder / str(number), range(number, kills, lanes), proof)
            group.create_task(asyncio.to_thread(lane.run, budget, progress))
    progress(proof.done, proof.wanted)
    return proof


@dataclass(frozen=True)
class Kill:
    """Who is killed, and when: after so many commits to the journal, or after a time."""

    victim: str
    commits: int | None
    seconds: float

    @property
    def when(self) -> str:
        """For people."""
        return f"after {self.seconds:.2f} s" if self.commits is None else f"at +{self.commits}"


def planned(number: int) -> Kill:
    """Kill ``number``, the same every time."""
    chance = random.Random(number)
    victim = VICTIMS[(number // KILLS_PER_UPDATE + number) % len(VICTIMS)]
    after_commits = chance.random() < 0.6
    commits = number // len(VICTIMS) % COMMITS + 1 if after_commits else None
    return Kill(victim, commits, chance.uniform(0.0, 1.5))


@dataclass
class Update:
    """What was done to one update."""

    version: str
    killed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"update {self.version} ({', '.join(self.killed)})"

    @property
    def lost_an_engine(self) -> bool:
        """Whether an engine died, which is the model's fault as far as anybody can tell."""
        return any(victim.startswith("engine") for victim in self.killed)


class Lane:
    """One device and one cloud, and the kills with these numbers."""

    def __init__(self, number: int, folder: Path, kills: range, proof: Proof) -> None:
        folder.mkdir()
        self._name = f"lane-{number}"
        self._folder = folder
        self._kills = list(kills)
        self._proof = proof
        self._cloud = CloudProcess(folder / "cloud", rate_limit=0)
        self._rejected: set[str] = set()
        self._suspect = False
        """Whether the model that serves lost an engine in its own update."""

    def run(self, budget: Budget, progress: Progress) -> None:
        """One update after the other, until all kills are done or the budget is spent."""
        self._cloud.start()
        try:
            for bench in make_bench(self._cloud, self._folder, self._name):
                self._begin(bench)
                while self._kills and not (self._proof.done and budget.spent):
                    self._update(bench, progress)
        except (AssertionError, StageError) as error:
            self._proof.broken.append(f"{self._name}: {error!r}")
        finally:
            if self._cloud.process.running:
                self._cloud.process.kill()

    def _begin(self, bench: Bench) -> None:
        bench.device.start("worker")
        bench.device.start("run", PACE)
        bench.deploy("first")
        bench.device.await_status("the first serves", serves("first"), PATIENCE)

    def _update(self, bench: Bench, progress: Progress) -> None:
        numbers, self._kills = self._kills[:KILLS_PER_UPDATE], self._kills[KILLS_PER_UPDATE:]
        update = Update(str(numbers[0] + 1))
        with watching(bench.device.state_dir) as commits:
            bench.deploy(update.version, bench.large_model(update.version, MODEL_BYTES))
            for number in numbers:
                self._kill(bench, number, update, commits)
                self._proof.done += 1
                progress(self._proof.done, self._proof.wanted)
        self._await_end(bench, update)

    def _kill(self, bench: Bench, number: int, update: Update, commits: Commits) -> None:
        kill = planned(number)
        # A second engine of the same model may be one too many.
        victim = "agent" if kill.victim == "engine" and update.lost_an_engine else kill.victim
        if kill.commits is None:
            time.sleep(kill.seconds)
        else:
            commits.await_next(kill.commits)
        update.killed.append(f"{victim} {kill.when}")
        self._proof.counts[f"{victim} killed"] += 1
        try:
            self._kill_and_restart(bench, victim)
        except AssertionError as error:
            self._proof.broken.append(f"{self._name}, {update}: {error!r}")

    def _kill_and_restart(self, bench: Bench, victim: str) -> None:
        device = bench.device
        match victim:
            case "agent":
                device.agent.kill()
                only_verified_bytes_are_reachable(device.state_dir)
                device.start("run", PACE)
            case "worker":
                device.worker.kill()
                device.start("worker")
            case "engine":
                _kill_engine(bench)
            case "cloud":
                self._cloud.process.kill()
                self._cloud.start()

    def _await_end(self, bench: Bench, update: Update) -> None:
        try:
            status = bench.device.await_status(f"{update} ends", self._ended(update), PATIENCE)
        except StageError as error:
            story = bench.device.inspect(lambda inspector: inspector.history(12))
            self._proof.broken.append(f"{self._name}, {update}: {error!r} {story}")
            raise
        rejected = {entry["id"] for entry in status["rejected"]} - self._rejected
        self._rejected |= rejected
        self._suspect = update.lost_an_engine
        how = "rejected, for an engine died" if rejected else "confirmed"
        self._proof.counts[f"updates {how}"] += 1
        journal_was_never_put_aside(bench.device.state_dir)
        assert_all_counted(bench.device)

    def _ended(self, update: Update) -> Callable[[Document], bool]:
        serves_it = serves(update.version)

        def ended(status: Document) -> bool:
            new = [entry for entry in status["rejected"] if entry["id"] not in self._rejected]
            if not new:
                return serves_it(status)
            assert update.lost_an_engine or self._suspect, f"{update}: {new}"
            active, worker = status["active"], status["worker"]
            return bool(status["state"] == "idle" and active["id"] == worker["release"])

        return ended


def _kill_engine(bench: Bench) -> None:
    """Kill the engine that serves, if there is one now."""
    status = bench.device.inspect(lambda inspector: inspector.status())
    engine = ((status or {}).get("worker") or {}).get("engine")
    if engine:
        with suppress(ProcessLookupError):
            os.kill(engine["pid"], signal.SIGKILL)
