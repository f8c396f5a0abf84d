"""The disk and the journal on it."""

from __future__ import annotations

import asyncio
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from agent.config import Settings
from agent.doctor.finding import Finding, Patient, error, failed, ok, warning
from agent.journal.opening import JOURNAL_FILE, JournalError, journal_problem, open_for_reading
from agent.store.files import TEMPORARY, Files, free_bytes
from states.ports import Postponed

MANY_WAITING = 200
SLOW_SYNC_SECONDS = 1.0
FEW_INODES = 1000


async def examine_disk(patient: Patient) -> list[Finding]:
    """Space, the reserve, and whether what is written reaches the disk."""
    return await asyncio.to_thread(lambda: list(_disk(patient.settings)))


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = settings.device.state_dir
    if not folder.is_dir():
        yield warning(f"{folder} is not there yet", "the agent makes it when it starts")
        return
    usage, free = os.statvfs(folder), free_bytes(folder)
    reserve = settings.device.reserve_bytes
    if free <= reserve:
        yield error(
            f"{folder}: {_mib(free)} free, less than the reserve of {_mib(reserve)}",
            "free some space: nothing is downloaded until then",
        )
    else:
        yield ok(f"{folder}: {_mib(free)} free, {_mib(reserve)} of them kept in reserve")
    if usage.f_files and usage.f_favail < FEW_INODES:
        yield warning(f"{folder}: only {usage.f_favail} more files fit", "remove unneeded files")
    yield _written(folder)


def _written(folder: Path) -> Finding:
    files, path = Files(), folder / f"{TEMPORARY}doctor-{os.getpid()}"
    began = time.monotonic()
    try:
        files.write_new(path, b"written by edgeferry doctor\n")
        files.sync_folder(folder)
        files.remove(path)
    except Postponed as problem:
        user = pwd.getpwuid(os.geteuid()).pw_name
        return error(
            f"user {user} can't write there: {problem.detail}",
            "run this as the service's user or as root; if that fails as well check the disk",
        )
    seconds = time.monotonic() - began
    if seconds > SLOW_SYNC_SECONDS:
        return warning(
            f"writing a small file to the disk takes {seconds:.1f} s", "check the disk: dmesg"
        )
    return ok(f"writing and syncing a file takes {seconds * 1e3:.0f} ms")


async def examine_journal(patient: Patient) -> list[Finding]:
    """Whether it opens, is whole and of this version, and what waits in it."""
    return await asyncio.to_thread(lambda: list(_journal(patient.settings)))


def _journal(settings: Settings) -> Iterator[Finding]:
    path = settings.device.state_dir / JOURNAL_FILE
    if not path.exists():
        yield warning(f"no journal at {path}: no agent has run here", "start it: edgeferry run")
        return
    try:
        db = open_for_reading(path)
    except JournalError as problem:
        yield failed(problem)
        return
    with closing(db):
        trouble = journal_problem(db, path)
        if trouble:
            yield error(trouble, "the agent puts a damaged journal aside and begins a new one")
            return
        (waiting,) = db.execute("SELECT count(*) FROM outbox").fetchone()
    yield ok(f"{path} is whole, {path.stat().st_size / 1024:.0f} KiB")
    if waiting > MANY_WAITING:
        yield warning(f"{waiting} reports wait for the cloud", "see what is said of the link")


def _mib(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"
