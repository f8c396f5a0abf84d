"""Files that a kill or a power cut leaves whole: the old one or the new one."""

from __future__ import annotations

import os
from pathlib import Path

TEMPORARY = ".tmp"
"""How the names end of files that are not finished; what is left of them may be deleted."""


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Make or replace a file, durably. ``mode`` are its permissions. Raises OSError.

    One process at a time may write it: see :class:`localcloud.storage.database.DirectoryLock`.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
