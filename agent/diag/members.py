"""The files of a support archive and where each comes from."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from agent.commands.inspection import Inspector, worker_status
from agent.config import Settings
from agent.diag.secrets import redacted
from agent.doctor.examine import examine
from agent.doctor.finding import document
from agent.journal.opening import JOURNAL_FILE, open_for_reading
from agent.parts import open_store

MANY = 1000
"""Entries of history taken along; the copy of the journal holds all of it."""
LOG_LINES = 5000
COMMAND_SECONDS = 30.0


@dataclass(frozen=True)
class Device:
    """What is looked at."""

    config: Path | None
    settings: Settings

    @property
    def state_dir(self) -> Path:
        """Journal and releases."""
        return self.settings.device.state_dir


Collect: TypeAlias = Callable[[Device], bytes]


def _inspected(ask: Callable[[Inspector], Any]) -> Collect:
    def collect(device: Device) -> bytes:
        with closing(Inspector(device.settings)) as inspector:
            return _json(ask(inspector))

    return collect


def _log_of(unit: str) -> Collect:
    def collect(_device: Device) -> bytes:
        if shutil.which("journalctl") is None:
            return b"no journalctl on this system\n"
        lines = f"--lines={LOG_LINES}"
        return _output("journalctl", "--no-pager", f"--unit={unit}", lines, "--output=short-iso")

    return collect


def _configuration(device: Device) -> bytes:
    return _json(redacted(device.settings))


def _doctor(device: Device) -> bytes:
    return _json(document(asyncio.run(examine(device.config))))


def _worker(device: Device) -> bytes:
    return _json(asyncio.run(worker_status(device.settings, open_store(device.settings))))


def _journal(device: Device) -> bytes:
    """SQLite's own online copy: consistent, also while the agent writes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(open_for_reading(device.state_dir / JOURNAL_FILE)) as journal,
    ):
        copy = Path(folder) / JOURNAL_FILE
        with closing(sqlite3.connect(copy)) as target:
            journal.conn.backup(target)
        return copy.read_bytes()


def _versions(_device: Device) -> bytes:
    packages = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
    return _json({"python": sys.version, "packages": dict(sorted(packages.items()))})


def _system(device: Device) -> bytes:
    usage = shutil.disk_usage(device.state_dir)
    return _json(
        {
            "uname": platform.uname()._asdict(),
            "distribution": platform.freedesktop_os_release(),
            "uptime": Path("/proc/uptime").read_text().split()[0],
            "memory": Path("/proc/meminfo").read_text().splitlines()[:5],
            "load": os.getloadavg(),
            "user": os.geteuid(),
            "state_dir": {"total": usage.total, "used": usage.used, "free": usage.free},
        }
    )


def _files(device: Device) -> bytes:
    """Every file of the state folder: mode, size and name, never its content."""
    lines = []
    for path in sorted(device.state_dir.rglob("*")):
        status = path.lstat()
        target = f" -> {path.readlink()}" if path.is_symlink() else ""
        name = path.relative_to(device.state_dir)
        lines.append(
            f"{status.st_mode:06o} {status.st_uid}:{status.st_gid} {status.st_size:>12} "
            f"{name}{target}\n"
        )
    return "".join(lines).encode()


MEMBERS: dict[str, Collect] = {
    "status.json": _inspected(lambda inspector: inspector.status()),
    "history.json": _inspected(lambda inspector: inspector.history(MANY)),
    "updates.json": _inspected(lambda inspector: inspector.updates(MANY)),
    "explain.json": _inspected(lambda inspector: inspector.explain()),
    "releases.json": _inspected(lambda inspector: inspector.releases()),
    "configuration.json": _configuration,
    "doctor.json": _doctor,
    "worker.json": _worker,
    JOURNAL_FILE: _journal,
    "agent.log": _log_of("edgeferry-agent"),
    "worker.log": _log_of("edgeferry-worker"),
    "versions.json": _versions,
    "system.json": _system,
    "files.txt": _files,
}


def _output(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=False, timeout=COMMAND_SECONDS).stdout


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
