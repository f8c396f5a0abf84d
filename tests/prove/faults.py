"""A disk that is full or fails, at every single step of an update, once or for a while.

It holds when the update ends with the new release all the same, without a rejection: whatever the
surroundings do to a step, the step is done again.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from itertools import count
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

from agent.store.files import OpenFile, storage_errors
from tests.prove.crash_states import check_decisions, check_what_is_left, new_folder
from tests.prove.parts import Budget, Part, Progress, Proof
from tests.prove.updating_agent import Fate, Scenario, UpdatingAgent
from tests.support.counting_server import CountingServer
from tests.support.disk_model import Steps, Unsynced

UPDATE = Scenario("update", ((Fate.CONFIRMED,), (Fate.CONFIRMED,)))
FAULTS = {"full disk": errno.ENOSPC, "input/output error": errno.EIO}
TIMES = (1, 3)
"""How often in succession a step is refused."""


def parts() -> tuple[Part, ...]:
    """The one part there is."""
    about = "a disk that is full or fails at any step delays an update and does no more"
    return (Part("faults", about, prove),)


class Refusing(Unsynced):
    """Refuses ``times`` steps with an error of the operating system, after ``after`` good ones."""

    def __init__(self, number: int, after: int, times: int) -> None:
        self._number = number
        self._good = after
        self._times = times
        self.armed = False
        self.refused = 0

    def step(self, path: Path) -> None:
        """Called before each single step that changes the disk."""
        if not self.armed:
            return
        if self._good:
            self._good -= 1
        elif self.refused < self._times:
            self.refused += 1
            with storage_errors(path):
                raise OSError(self._number, "as the proof will have it")


def _refusable(name: str) -> Callable[..., Any]:
    real = getattr(Unsynced, name)

    def step(files: Refusing, what: Path | OpenFile, *more: Any, **options: Any) -> Any:
        files.step(what.path if isinstance(what, OpenFile) else what)
        return real(files, what, *more, **options)

    return step


for _name in (
    *("create", "write_at", "set_mode", "sync", "sync_data", "sync_folder", "rename"),
    *("symlink", "make_one_folder", "unlink", "remove_one_folder"),
):
    setattr(Refusing, _name, _refusable(_name))


async def prove(folder: Path, budget: Budget, progress: Progress) -> Proof:
    """Refuse the first step of an update, then the second, until it has no more of them."""
    await _deploy(new_folder(folder / "installed"), Refusing(0, 0, 0), 1)
    proof = Proof(wanted=0)
    for after in count():
        if (proof.done and budget.spent) or len(proof.broken) > 10:
            break
        reached = [
            await _try(folder, Refusing(number, after, times), f"{what} x{times} at {after}", proof)
            for what, number in FAULTS.items()
            for times in TIMES
        ]
        proof.wanted = proof.done
        progress(proof.done, proof.wanted)
        if not any(reached):
            proof.notes.append(f"an update has {after} steps that change the disk")
            break
    return proof


async def _try(folder: Path, files: Refusing, case: str, proof: Proof) -> bool:
    """Whether the update came to the step that is refused."""
    root = folder / "case"
    copytree(folder / "installed", root, symlinks=True)
    try:
        await _deploy(root, files, 2)
        check_what_is_left(root, UPDATE)
    except Exception as failure:  # noqa: BLE001 - whatever it is, the agent must cope
        proof.broken.append(f"{case}: {failure!r}")
    rmtree(root)
    proof.done += 1
    proof.counts["steps refused"] += files.refused
    return files.refused > 0


async def _deploy(root: Path, files: Refusing, number: int) -> None:
    server = CountingServer(UPDATE.content, Steps())
    agent = UpdatingAgent(root, UPDATE, files, server)
    try:
        files.armed = True
        agent.conductor.offer(UPDATE.deployments[number - 1])
        await agent.settle()
        check_decisions(agent, UPDATE, number)
    finally:
        agent.journal.close()
