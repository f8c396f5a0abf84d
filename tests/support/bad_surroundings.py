"""A disk, a clock and limits that real processes can't rely on, to be changed while they run.

Disk and wall clock are spoilt from within: ``bad_surroundings.c`` is preloaded into the process and
sees what SQLite does as well as what Python does. Limits are those of the kernel.
"""

from __future__ import annotations

import mmap
import resource
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SOURCE = Path(__file__).with_suffix(".c")
_LAYOUT = struct.Struct("=qqq")
MIB = 1 << 20


def can_be_built() -> bool:
    """Whether there is a C compiler."""
    return shutil.which("cc") is not None


def build(folder: Path) -> Path:
    """Compile what is preloaded."""
    library = folder / "bad_surroundings.so"
    command = ("cc", "-shared", "-fPIC", "-O2", "-Wall", "-o", str(library), str(_SOURCE), "-ldl")
    subprocess.run(command, check=True, capture_output=True)
    return library


class BadSurroundings:
    """What is wrong below ``folder``, and with the time, for processes with :attr:`environment`."""

    def __init__(self, library: Path, folder: Path) -> None:
        file = library.with_suffix(".now")
        file.write_bytes(bytes(_LAYOUT.size))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), _LAYOUT.size)
        self.environment = {
            "LD_PRELOAD": str(library),
            "SURROUNDINGS_FILE": str(file),
            "SURROUNDINGS_FOLDER": str(folder),
            # Nobody listens, but they have to try.
            "NOTIFY_SOCKET": str(library.with_suffix(".notify")),
            "WATCHDOG_USEC": "3000000",
        }

    @property
    def refused(self) -> int:
        """How many calls were refused until now."""
        return int(_LAYOUT.unpack(self._shared)[2])

    @contextmanager
    def disk_refuses(self, error: int) -> Iterator[None]:
        """ENOSPC refuses what takes room, EROFS all that changes something, EIO everything."""
        self._shared[:8] = struct.pack("=q", error)
        try:
            yield
        finally:
            self._shared[:8] = struct.pack("=q", 0)

    def set_clock(self, seconds: float) -> None:
        """The wall clock shows the time of so many seconds later."""
        self._shared[8:16] = struct.pack("=q", int(seconds))


@contextmanager
def no_new_descriptors(pid: int) -> Iterator[None]:
    """The process keeps what it has open and can open nothing more."""
    with _soft_limit(pid, resource.RLIMIT_NOFILE, 3):
        yield


@contextmanager
def no_more_memory(pid: int, room: int) -> Iterator[None]:
    """The process can have so many bytes of address space more than it has now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    with _soft_limit(pid, resource.RLIMIT_AS, pages * mmap.PAGESIZE + room):
        yield


@contextmanager
def _soft_limit(pid: int, what: int, limit: int) -> Iterator[None]:
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (limit, before[1]))
    try:
        yield
    finally:
        # The process may have ended of it.
        try:
            resource.prlimit(pid, what, before)
        except ProcessLookupError:
            return
