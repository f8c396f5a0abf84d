"""Writing the support archive."""

from __future__ import annotations

import io
import os
import platform
import sqlite3
import subprocess
import tarfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from agent.commands.explaining import NothingToExplain
from agent.diag.members import MEMBERS, Collect, Device
from agent.diag.secrets import scrubbed, secrets_of
from agent.journal.connection import JournalDamaged
from agent.journal.opening import JournalError
from agent.store.files import postponed
from states.ports import Postponed

_MODE = 0o600
_UNAVAILABLE = (
    OSError,
    JournalError,
    JournalDamaged,
    NothingToExplain,
    Postponed,
    sqlite3.Error,
    subprocess.SubprocessError,
)


def default_name() -> Path:
    """A name that says which device and when."""
    return Path(f"edgeferry-diag-{platform.node()}-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz")


def write_archive(
    path: Path, device: Device, on_member: Callable[[str], None] = lambda _name: None
) -> None:
    """Collect everything into a new ``.tar.gz`` that its owner alone may read.

    What can't be collected is replaced by the reason. Raises Postponed when the file can't be
    written, for example because there is one of that name.
    """
    secrets = secrets_of(device.settings)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise postponed(error, path) from error
    folder = path.name.removesuffix(".tar.gz")
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, collect in MEMBERS.items():
            on_member(name)
            member, content = _collected(name, collect, device, secrets)
            entry = tarfile.TarInfo(f"{folder}/{member}")
            entry.size, entry.mode, entry.mtime = len(content), _MODE, int(time.time())
            archive.addfile(entry, io.BytesIO(content))


def _collected(
    name: str, collect: Collect, device: Device, secrets: tuple[bytes, ...]
) -> tuple[str, bytes]:
    try:
        content = collect(device)
    except _UNAVAILABLE as error:
        return f"{name}.missing.txt", scrubbed(f"{error}\n".encode(), secrets)
    clean = scrubbed(content, secrets)
    if name.endswith(".db") and clean != content:
        return f"{name}.missing.txt", b"left out: a secret was found in it\n"
    return name, clean
