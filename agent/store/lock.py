"""One agent per state directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import ClassVar

from agent.store.files import Files, storage_errors

LOCK_FILE = "agent.lock"
# Who looks whether an agent runs holds the lock for a moment: no reason not to start.
_TRIES, _PAUSE_SECONDS = 10, 0.02


class StateDirectoryBusy(Exception):  # noqa: N818 - reads as what happened
    """Another agent works on this directory. ``pid`` is its process id, None if it left none."""

    exit_status: ClassVar[int] = 1

    def __init__(self, state_dir: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{state_dir}: in use by {who};"
            " stop that agent first, or give this one a state directory of its own"
        )
        self.state_dir = state_dir
        self.pid = pid


@contextmanager
def lock_state_dir(state_dir: Path) -> Iterator[None]:
    """Hold the state directory for this process, making it (mode 0750) if need be.

    The kernel frees the lock when the process ends, however it ends. Raises StateDirectoryBusy, or
    Postponed when the directory can't be written.
    """
    Files().make_folder(state_dir)
    path = state_dir / LOCK_FILE
    with storage_errors(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    try:
        _take(fd, state_dir)
        # Only for people: on a full disk an agent without it can still tell that it is full.
        with suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def is_locked(state_dir: Path) -> bool:
    """Whether an agent holds the state directory. Raises OSError when that can't be looked at."""
    try:
        fd = os.open(state_dir / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _take(fd: int, state_dir: Path) -> None:
    for _ in range(_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sleep(_PAUSE_SECONDS)
        else:
            return
    text = os.pread(fd, 32, 0).strip()
    raise StateDirectoryBusy(state_dir, int(text) if text.isdigit() else None)
