"""Real processes whose disk, memory, descriptors or clock fail for some seconds, at any step.

Devices of real processes are updated again and again. In each update something fails, after the
n-th commit to the journal, for every n there is, and is well again some seconds later. Nobody
restarts anything, except what memory ended, which the service manager would restart. It holds when
neither process ended, no frame failed, no release was rejected, and the new one serves in the end.
"""

from __future__ import annotations

import asyncio
import errno
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from demo.cloud_process import CloudProcess
from demo.stage import Process, StageError, serves
from tests.prove.kill_sweep import PACE
from tests.prove.parts import Budget, Part, Progress, Proof
from tests.support.bad_surroundings import (
    MIB,
    BadSurroundings,
    build,
    no_more_memory,
    no_new_descriptors,
)
from tests.support.commits import watching
from tests.support.on_disk import journal_was_never_put_aside, only_verified_bytes_are_reachable
from tests.system.conftest import Bench, assert_all_counted, make_bench

LANES = 3
COMMITS = 40
"""More than an update has, so that it meets every trouble after each of them."""
PATIENCE = 180.0
MODEL_BYTES = 60_000
YEAR = 365.25 * 86_400
WATCHDOG_SECONDS = 20.0
LONGEST = 4.0
"""Seconds that a trouble lasts at most."""


class Lane:
    """One device and one cloud, and what befalls them."""

    def __init__(self, number: int, folder: Path, proof: Proof, library: Path) -> None:
        folder.mkdir()
        self.name = f"lane-{number}"
        self._folder = folder
        self._proof = proof
        self._library = library
        self._cloud = CloudProcess(folder / "cloud", rate_limit=0)
        self.bench: Bench
        self.surroundings: BadSurroundings

    def run(self, cases: list[Case], budget: Budget, progress: Progress) -> None:
        """One update after the other, until all cases are done or the budget is spent."""
        self._cloud.start()
        try:
            for bench in make_bench(self._cloud, self._folder, self.name):
                self._begin(bench)
                for case in cases:
                    if self._proof.done and budget.spent:
                        break
                    self._try(case)
                    self._proof.done += 1
                    progress(self._proof.done, self._proof.wanted)
        except (AssertionError, StageError) as error:
            what = str(error)
            self._proof.broken.append(f"{self.name}: {what[:300]} … {what[-700:]}")
        finally:
            if self._cloud.process.running:
                self._cloud.process.kill()

    def _begin(self, bench: Bench) -> None:
        self.bench = bench
        library = self._library.with_name(f"{self.name}-{self._library.name}")
        library.write_bytes(self._library.read_bytes())
        self.surroundings = BadSurroundings(library, bench.device.state_dir)
        bench.device.start("worker", self.surroundings.environment)
        self._start_agent()
        bench.deploy("first")
        bench.device.await_status("the first serves", serves("first"), PATIENCE)

    def _start_agent(self) -> None:
        self.bench.device.start("run", {**PACE, **self.surroundings.environment})

    def _try(self, case: Case) -> None:
        device = self.bench.device
        refused = self.surroundings.refused
        version = str(case.number)
        with watching(device.state_dir) as commits:
            self.bench.deploy(version, self.bench.large_model(version, MODEL_BYTES))
            commits.await_next(case.commits)
            with case.trouble.strike(self):
                time.sleep(case.seconds)
        self._proof.counts[case.trouble.name] += 1
        self._proof.counts["calls refused"] += self.surroundings.refused - refused
        if case.trouble.may_end_processes:
            self._restart_what_ended()
        only_verified_bytes_are_reachable(device.state_dir)
        self._await_end(case)
        journal_was_never_put_aside(device.state_dir)
        assert_all_counted(device)

    def _restart_what_ended(self) -> None:
        """As the service manager does: by its own watch, or by the watchdog's."""
        device = self.bench.device
        for process, name, start in (
            (device.agent, "agent.sock", self._start_agent),
            (device.worker, "worker.sock", self._start_worker),
        ):
            if not process.running or not _answers(device.state_dir / name):
                self._proof.counts["ended or hung for lack of memory"] += 1
                process.kill()
                start()

    def _start_worker(self) -> None:
        self.bench.device.start("worker", self.surroundings.environment)

    def _await_end(self, case: Case) -> None:
        version = str(case.number)
        try:
            status = self.bench.device.await_status(f"{case} ends", serves(version), PATIENCE)
        except StageError as error:
            raise StageError(f"{case}: {error}") from error
        if status["rejected"]:
            self._proof.broken.append(f"{case}: {status['rejected']}")
        if status["worker"]["errors"] and not case.trouble.may_end_processes:
            self._proof.broken.append(f"{case}: {status['worker']['errors']} frames failed")


def _answers(path: Path) -> bool:
    """Whether somebody answers at a control socket."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(WATCHDOG_SECONDS)
            client.connect(str(path))
            client.sendall(b'{"id": 1, "method": "status"}\n')
            return bool(client.recv(1))
    except OSError:
        return False


Strike: TypeAlias = Callable[[Lane], AbstractContextManager[None]]


@dataclass(frozen=True)
class Trouble:
    """Something that goes wrong, for as long as its context lasts."""

    name: str
    strike: Strike
    may_end_processes: bool = False


def _disk(error: int) -> Strike:
    return lambda lane: lane.surroundings.disk_refuses(error)


def _process(which: str, limit: Callable[[int], AbstractContextManager[None]]) -> Strike:
    def strike(lane: Lane) -> AbstractContextManager[None]:
        process: Process = getattr(lane.bench.device, which)
        return limit(process.pid)

    return strike


@contextmanager
def _clock_jumps(lane: Lane) -> Iterator[None]:
    """Years back, years ahead, and right again; some updates begin with the wrong time."""
    lane.surroundings.set_clock(-30 * YEAR)
    time.sleep(LONGEST / 4)
    lane.surroundings.set_clock(15 * YEAR)
    yield
    lane.surroundings.set_clock(0)


TROUBLES = (
    Trouble("disk full", _disk(errno.ENOSPC)),
    Trouble("read-only file system", _disk(errno.EROFS)),
    Trouble("input/output errors", _disk(errno.EIO)),
    Trouble("no descriptors left to the agent", _process("agent", no_new_descriptors)),
    Trouble("no descriptors left to the worker", _process("worker", no_new_descriptors)),
    Trouble(
        "no memory left to the agent", _process("agent", lambda p: no_more_memory(p, MIB)), True
    ),
    Trouble(
        "no memory left to the worker", _process("worker", lambda p: no_more_memory(p, MIB)), True
    ),
    Trouble("the clock jumps", _clock_jumps),
)


@dataclass(frozen=True)
class Case:
    """One update and what goes wrong in it, after so many commits to the journal."""

    number: int
    trouble: Trouble
    commits: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.number}: {self.trouble.name} at +{self.commits} for {self.seconds:.1f} s"


def planned() -> list[Case]:
    """Every case, the same every time, in an order that has something of everything early."""
    chance = random.Random(1)
    moments = chance.sample(range(COMMITS), COMMITS)
    pairs = [(trouble, commits) for commits in moments for trouble in TROUBLES]
    return [
        Case(number, trouble, commits, chance.uniform(0.5, LONGEST))
        for number, (trouble, commits) in enumerate(pairs)
    ]


def parts() -> tuple[Part, ...]:
    """The one part there is."""
    about = "disk, memory, descriptors or clock of real processes fail for seconds, at any step"
    return (Part("surroundings", about, prove),)


async def prove(
    folder: Path,
    budget: Budget,
    progress: Progress,
    cases: list[Case] | None = None,
    lanes: int = LANES,
) -> Proof:
    """Some devices beside each other, each with a cloud of its own."""
    cases = planned() if cases is None else cases
    proof = Proof(len(cases))
    library = build(folder)
    async with asyncio.TaskGroup() as group:
        for number in range(lanes):
            lane = Lane(number, folder / str(number), proof, library)
            share = cases[number::lanes]
            group.create_task(asyncio.to_thread(lane.run, share, budget, progress))
    progress(proof.done, proof.wanted)
    return proof
