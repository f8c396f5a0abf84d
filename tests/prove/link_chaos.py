"""Seeded updates over links as bad as chance makes them, from a cloud that comes and goes.

Each device has a link and a cohort of its own. It is given a release, then another while the link
loses, doubles, reorders and spoils datagrams, is cut, changes its address, or the cloud is killed
and started again; sometimes a third release supersedes the second, and one cloud in three answers
late, wrongly or never now and then. It holds when every device ends with the newest release, byte
for byte, rejected nothing, and the cloud has heard of it.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from bench.link import Conditions, Link, Way, link_to
from demo.cloud_process import CloudProcess
from demo.fleet import MODEL_PACKAGE, Enrolled, Fleet
from demo.stage import EDGEFERRY, StageError
from provisioning.errors import ManagementError
from tests.prove.chaotic_device import ChaoticAgent, running_agent
from tests.prove.parts import Budget, Part, Progress, Proof

DEVICES = 450
"""Each has two updates or three, which makes more than a thousand."""
CLOUDS = 6
MOODY = (1, 4)
"""Clouds whose answers come late, wrong or never: of every third seed."""
DEVICES_AT_A_TIME = 8
"""On each cloud: whoever has it killed interrupts as many others."""
PATIENCE = 900.0
"""Seconds until a device must have come to an end; handshakes over a link that spoils
them fail for minutes."""
MOODY_PROGRAM = (sys.executable, "-m", "tests.support.moody_cloud")
ACCIDENTS = ("none", "rebind", "new address", "blackout", "long blackout", "cloud killed")
LOOK_SECONDS = 0.2
LABELS = b"red\ngreen\n"

T = TypeVar("T")


def parts() -> tuple[Part, ...]:
    """The one part there is."""
    about = "updates over the worst of links end with the newest release, byte for byte"
    return (Part("link-chaos", about, prove),)


async def prove(
    folder: Path,
    budget: Budget,
    progress: Progress,
    seeds: Sequence[int] = range(DEVICES),
) -> Proof:
    """Some devices at a time on each cloud, which one accident in six kills."""
    proof = Proof(len(seeds))
    took: list[tuple[float, str]] = []

    async def take_turns(cloud: MortalCloud, left: Iterator[int]) -> None:
        for seed in left:
            progress(proof.done, proof.wanted)
            began = time.monotonic()
            story = await _run(seed, folder / str(seed), cloud, proof)
            took.append((time.monotonic() - began, story))
            if budget.spent or len(proof.broken) > 10:
                return

    shares = {number: [s for s in seeds if s % CLOUDS == number] for number in range(CLOUDS)}
    clouds = {n: MortalCloud(folder / f"cloud-{n}", n in MOODY) for n in shares if shares[n]}
    try:
        async with asyncio.TaskGroup() as group:
            for number, cloud in clouds.items():
                left = iter(shares[number])
                for _ in range(DEVICES_AT_A_TIME):
                    group.create_task(take_turns(cloud, left))
    finally:
        for cloud in clouds.values():
            cloud.kill()
    progress(proof.done, proof.wanted)
    proof.notes += [f"took {seconds:.0f} s: {story}" for seconds, story in sorted(took)[-3:]]
    proof.summary = f"{proof.counts['updates']} updates"
    return proof


async def _run(seed: int, folder: Path, cloud: MortalCloud, proof: Proof) -> str:
    """What happened, for people."""
    run = Run(seed, folder, cloud)
    try:
        async with asyncio.timeout(PATIENCE):
            await run.play()
    except TimeoutError:
        proof.broken.append(f"{run.story}; not done after {PATIENCE:g} s")
    except (AssertionError, ExceptionGroup, StageError) as error:
        proof.broken.append(f"{run.story}; {error!r}")
    proof.counts[f"accident: {run.plan.accident}"] += 1
    proof.counts["updates"] += run.deployed
    proof.done += 1
    return run.story


class MortalCloud:
    """A local cloud that any run may kill, one after the other."""

    def __init__(self, folder: Path, moody: bool) -> None:
        self.moody = moody
        program = MOODY_PROGRAM if moody else EDGEFERRY
        self._process = CloudProcess(folder, rate_limit=0, program=program)
        self._turn = threading.Lock()
        self.address = self._process.start()

    @property
    def gateway(self) -> tuple[str, int]:
        """Where devices reach it."""
        return self.address.gateway

    def kill(self) -> None:
        """SIGKILL."""
        self._process.process.kill()

    def fall_and_rise(self) -> None:
        """SIGKILL, and start again over what is on the disk."""
        with self._turn:
            self.kill()
            self._process.start()


def some_way(chance: random.Random) -> Way:
    """One direction of a link; up to 30 % are lost."""
    return Way(
        delay=chance.choice([0.0, 0.005, 0.05, 0.4]),
        jitter=chance.choice([0.0, 0.0, 0.02, 0.3]),
        loss=chance.choice([0.0, 0.01, 0.05, 0.15, 0.3]),
        duplicate=chance.choice([0.0, 0.05, 0.3]),
        reorder=chance.choice([0.0, 0.05, 0.2]),
        reorder_by=chance.choice([0.005, 0.05]),
        corrupt=chance.choice([0.0, 0.02, 0.05]),
        bits_per_second=chance.choice([None, None, 1e6]),
        queue=chance.choice([0.05, 0.3]),
    )


@dataclass(frozen=True)
class Plan:
    """What happens to a device."""

    conditions: Conditions
    superseded: bool
    """Whether a third release supersedes the second."""
    accident: str

    @classmethod
    def drawn(cls, chance: random.Random) -> Plan:
        """As chance will have it."""
        conditions = Conditions(some_way(chance), some_way(chance))
        return cls(conditions, chance.random() < 0.3, chance.choice(ACCIDENTS))

    @property
    def updates(self) -> int:
        """How many releases the device is given."""
        return 3 if self.superseded else 2


class Run:
    """One device and what happens to it; the seed decides everything but the timing."""

    def __init__(self, seed: int, folder: Path, cloud: MortalCloud) -> None:
        self._chance = random.Random(seed)
        self._seed = seed
        self._folder = folder
        (folder / "state").mkdir(parents=True)
        self._cloud = cloud
        self.plan = Plan.drawn(self._chance)
        self.deployed = 0
        self._waits_for = "nothing yet"

    @property
    def story(self) -> str:
        """What happens, for people."""
        cloud = "a moody cloud" if self._cloud.moody else "a calm cloud"
        return f"seed {self._seed} on {cloud}: {self.plan}; last waited for {self._waits_for}"

    async def play(self) -> None:
        """From the first release to the last; raises AssertionError."""
        fleet, enrolled = await _insist(self._enroll)
        link = link_to(
            self._cloud.gateway, self.plan.conditions, seed=self._seed, own_process=False
        )
        try:
            async with (
                link as way,
                running_agent(self._folder / "state", way.address, enrolled) as agent,
            ):
                await self._update(fleet, way, agent)
                await self._await_report(fleet, enrolled.device_id)
        finally:
            fleet.close()

    def _enroll(self) -> tuple[Fleet, Enrolled]:
        # A name of its own for each try: the cloud may fall when half of it is done.
        name = f"chaos-{self._seed}-{uuid4().hex[:8]}"
        fleet = Fleet(self._cloud.address, cohort=name)
        return fleet, fleet.enroll(name)

    async def _update(self, fleet: Fleet, link: Link, agent: ChaoticAgent) -> None:
        model = await self._deploy(fleet, 1_000)
        self._waits_for = "the first release"
        await _until(lambda: agent.serves(model))
        model = await self._deploy(fleet, self._chance.randrange(1, 60_000))
        await asyncio.sleep(self._chance.uniform(0.0, 2.0))
        await self._happen(link)
        if self.plan.superseded:
            model = await self._deploy(fleet, self._chance.randrange(1, 60_000))
        self._waits_for = "the newest release"
        await _until(lambda: agent.serves(model))
        assert not agent.rejected, f"rejected {agent.rejected}"

    async def _deploy(self, fleet: Fleet, size: int) -> bytes:
        """Deploy a model of so many bytes."""
        self.deployed += 1
        content = self._chance.randbytes(size)
        model, labels = self._folder / "model.tflite", self._folder / "labels.txt"
        model.write_bytes(content)
        labels.write_bytes(LABELS)
        version = self._version

        def deploy() -> None:
            fleet.deploy(version, fleet.upload(version, model, labels))

        await _insist(deploy)
        return content

    @property
    def _version(self) -> str:
        return f"{self._seed}.{self.deployed}"

    async def _happen(self, link: Link) -> None:
        match self.plan.accident:
            case "rebind":
                await link.rebind()
            case "new address":
                await link.rebind(f"127.0.{self._chance.randrange(1, 250)}.7")
            case "blackout":
                await link.blackout(self._chance.uniform(0.1, 5.0))
            case "long blackout":
                await link.blackout(self._chance.uniform(30.0, 80.0))
            case "cloud killed":
                await asyncio.to_thread(self._cloud.fall_and_rise)

    async def _await_report(self, fleet: Fleet, device_id: str) -> None:
        """Wait until the cloud has heard how it ended."""
        self._waits_for = f"the report of {self._version}"
        while True:
            device = await _insist(lambda: fleet.management.device(device_id))
            told = device.updates.get(MODEL_PACKAGE)
            if told and (told.version, told.state) == (self._version, "IDLE"):
                return
            await asyncio.sleep(LOOK_SECONDS)


async def _insist(call: Callable[[], T]) -> T:
    """Ask the cloud until it is there; PATIENCE ends it."""
    while True:
        try:
            return await asyncio.to_thread(call)
        except ManagementError:
            await asyncio.sleep(LOOK_SECONDS)


async def _until(holds: Callable[[], bool]) -> None:
    while True:
        if holds():
            return
        await asyncio.sleep(LOOK_SECONDS)
