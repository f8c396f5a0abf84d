"""Power cuts in a machine of its own, on a real file system: QEMU is killed in mid-update.

Only when asked for, as it needs QEMU and a Debian image, built as for ``make vm``: see
:mod:`tests.support.power_cut_machine` for what is lost with the power, and
:mod:`tests.vm.power_cut_guest` for what runs there and what is checked after each cut.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.prove.parts import Budget, Part, Progress, Proof
from tests.prove.updating_agent import IN_FLIGHT, PACE
from tests.support.counting_server import BLOCK
from tests.support.power_cut_machine import (
    DISK_MIB,
    PowerCutMachine,
    PowerCutMachineError,
    make_disk,
    why_not,
)
from tests.support.vm_image import FULL_KERNEL, ImageUnavailableError, image
from tests.vm.power_cut_guest import scenario

CUTS = 120
BOOT_EVERY = 60
"""A machine that is really booted, in place of one that was saved."""
AT_WORK = (0.0, 6.0)
"""Seconds of work before the cut, from the first sign of life."""
RECOVERY_SECONDS = 300.0


def parts() -> tuple[Part, ...]:
    """One for each file system."""
    about = "QEMU killed in mid-update: the promises hold after each start on"
    return tuple(
        Part(f"power-cuts-{name}", f"{about} {name}", partial(prove, name), asked_for=True)
        for name in DISK_MIB
    )


async def prove(
    file_system: str, folder: Path, budget: Budget, progress: Progress, cuts: int = CUTS
) -> Proof:
    """Cut the power again and again, on the same disk."""
    proof = Proof(cuts)
    if reason := why_not(file_system):
        proof.broken.append(reason)
        return proof
    try:
        machine = PowerCutMachine(image(FULL_KERNEL), folder)
    except ImageUnavailableError as error:
        proof.broken.append(str(error))
        return proof
    disk = folder / f"{file_system}.raw"
    make_disk(disk, file_system)
    run = Run(machine, disk, file_system, proof)
    try:
        await asyncio.to_thread(run.all_cuts, cuts, budget, progress)
    finally:
        machine.close()
    return proof


@dataclass
class Run:
    """One disk, and how often its machine's power was cut in the life of an update."""

    machine: PowerCutMachine
    disk: Path
    file_system: str
    proof: Proof
    deployed: int = 0
    done: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    """Blocks asked for of each artifact, over all starts."""
    cuts_of: Counter[int] = field(default_factory=Counter)
    """Cuts in the middle of each deployment."""

    def all_cuts(self, cuts: int, budget: Budget, progress: Progress) -> None:
        """Until all are done, the budget is spent, or a promise is broken."""
        try:
            self.machine.boot(self.disk)
            self.machine.save()
            for number in range(1, cuts + 1):
                if self.proof.broken or (self.proof.done and budget.spent):
                    break
                self._cut(number)
                self.proof.done += 1
                progress(self.proof.done, self.proof.wanted)
        except PowerCutMachineError as error:
            self.proof.broken.append(str(error))
        self._check_traffic()
        self.proof.counts["updates ended"] = self.done
        self.proof.notes.append(f"{self.file_system}, {DISK_MIB[self.file_system]} MiB")

    def _cut(self, number: int) -> None:
        """Start, check what the last cut left, work for a while, and cut."""
        if number % BOOT_EVERY == 0:
            self.machine.boot(self.disk)
            self.proof.counts["boots"] += 1
        else:
            self.machine.resume(self.disk)
        self.machine.order(file_system=self.file_system, cut=number, deployed=self.deployed)
        seconds = random.Random(number).uniform(*AT_WORK)
        timer = threading.Timer(RECOVERY_SECONDS, self.machine.cut_power)
        timer.start()
        recovered = False
        for line in self.machine.said():
            self._hear(line)
            if "deploying" in line and not recovered:
                # What is left was checked, and the agent goes on from there.
                recovered = True
                self.proof.counts[f"went on from {line['state']}"] += 1
                timer.cancel()
                timer = threading.Timer(seconds, self.machine.cut_power)
                timer.start()
            if self.proof.broken:
                self.machine.cut_power()
        timer.cancel()
        self.machine.close()
        if not recovered:
            self.proof.broken.append(f"cut {number}: never went on; {self.machine.console()}")
        if self.done < self.deployed:
            self.cuts_of[self.deployed] += 1

    def _hear(self, line: dict[str, object]) -> None:
        match line:
            case {"asked": str(uri)}:
                self.asked[uri] += 1
            case {"deploying": int(number)}:
                self.deployed = number
            case {"done": int(number)}:
                self.done = number
            case {"broken": what, "where": where}:
                self.proof.broken.append(f"deployment {self.deployed}: {what}\n{where}")

    def _check_traffic(self) -> None:
        """At most one checkpoint, and what was under way, for each cut in a download."""
        for deployment in scenario().deployments[: self.done]:
            for package in deployment.release.packages:
                blocks = -(-package.size // BLOCK)
                allowed = self.cuts_of[deployment.sequence] * (PACE.blocks + IN_FLIGHT)
                twice = self.asked[package.uri] - blocks
                if twice > allowed:
                    self.proof.broken.append(f"{twice} blocks of {package.uri} fetched again")
                self.proof.counts["blocks fetched again"] += max(0, twice)
