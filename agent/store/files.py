"""Every durable change to the disk goes through here, and through nothing else.

Rules:

* Bytes are synced before the name that makes them reachable exists, and the folder of that name
  is synced before anybody is told.
* A name changes its meaning only by ``rename``, which is atomic; temporary names begin with
  :data:`TEMPORARY`, so that what a power cut left behind is recognised and removed.
* The surroundings' faults become :class:`~states.ports.Postponed`, naming the path: a full disk as
  ``disk-full``, a machine that is short of something as ``no-resources``, all else as
  ``storage-error``.

The first half of :class:`Files` are single steps, one system call each; the second half is built
from them only. A subclass that overrides the steps therefore sees, delays or refuses everything.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from states.ports import Postponed
from states.reasons import Transient, is_shortage

TEMPORARY = ".tmp-"


@dataclass(frozen=True)
class OpenFile:
    """An open descriptor and the path it was opened under, for messages."""

    fd: int
    path: Path


def postponed(error: OSError, path: Path) -> Postponed:
    """What an error of the operating system means to an update."""
    problem = f"{path}: {error.strerror or error}"
    if is_shortage(error):
        return Postponed(
            Transient.NO_RESOURCES,
            f"{problem}; see what else runs here, the update goes on by itself",
        )
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Postponed(
            Transient.DISK_FULL, f"{problem}; free some space, the update goes on by itself"
        )
    return Postponed(
        Transient.STORAGE_ERROR, f"{problem}; check the disk and the permissions of this path"
    )


def free_bytes(folder: Path) -> int:
    """Bytes of the file system that an ordinary user may still write. Raises OSError."""
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn every OSError raised inside into Postponed."""
    try:
        yield
    except OSError as error:
        raise postponed(error, path) from error


class Files:
    """Durable file operations. Every method raises Postponed and nothing else."""

    # Single steps.

    def create(self, path: Path, mode: int = 0o644) -> OpenFile:
        """Open a file that must not exist yet, for reading and writing."""
        with storage_errors(path):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            return OpenFile(os.open(path, flags, mode), path)

    def open(self, path: Path, *, writing: bool) -> OpenFile:
        """Open an existing file for reading, or for reading and writing."""
        with storage_errors(path):
            flags = (os.O_RDWR if writing else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW
            return OpenFile(os.open(path, flags), path)

    def write_at(self, file: OpenFile, offset: int, data: bytes) -> None:
        """Write all of ``data`` at a byte offset."""
        rest = memoryview(data)
        with storage_errors(file.path):
            while rest:
                written = os.pwrite(file.fd, rest, offset)
                rest, offset = rest[written:], offset + written

    def set_mode(self, path: Path, mode: int) -> None:
        """Change the permissions of a file."""
        with storage_errors(path):
            path.chmod(mode)

    def sync(self, file: OpenFile) -> None:
        """Bring content and metadata of a file to the disk."""
        with storage_errors(file.path):
            os.fsync(file.fd)

    def sync_data(self, file: OpenFile) -> None:
        """Bring content and length of a file to the disk."""
        with storage_errors(file.path):
            os.fdatasync(file.fd)

    def close(self, file: OpenFile) -> None:
        """Give the descriptor back; a delayed write error shows here on some file systems."""
        with storage_errors(file.path):
            os.close(file.fd)

    def sync_folder(self, path: Path) -> None:
        """Bring the names in a folder to the disk."""
        with storage_errors(path):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        """Replace ``target`` atomically; durable only after both folders are synced."""
        with storage_errors(target):
            source.rename(target)

    def symlink(self, link: Path, target: str) -> None:
        """Make a symbolic link that must not exist yet."""
        with storage_errors(link):
            link.symlink_to(target)

    def link(self, link: Path, target: Path) -> None:
        """Give a file one more name, which must not exist yet."""
        with storage_errors(link):
            link.hardlink_to(target)

    def make_one_folder(self, path: Path, mode: int) -> None:
        """Make a folder that must not exist yet."""
        with storage_errors(path):
            path.mkdir(mode)

    def unlink(self, path: Path) -> None:
        """Remove a file or link, if there is one."""
        with storage_errors(path):
            path.unlink(missing_ok=True)

    def remove_one_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        with storage_errors(path):
            path.rmdir()

    # Built from the steps.

    def make_folder(self, path: Path, mode: int = 0o750) -> None:
        """Make a folder and its parents, durably, unless it exists."""
        if path.is_dir():
            return
        self.make_folder(path.parent, mode)
        self.make_one_folder(path, mode)
        self.sync_folder(path.parent)

    def write_new(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """Write a file that must not exist yet and sync its content; the name is not synced."""
        file = self.create(path, mode)
        try:
            self.write_at(file, 0, data)
            self.sync(file)
        finally:
            self.close(file)

    def sync_closed(self, path: Path) -> None:
        """Bring content and metadata of a file to the disk that nobody has open for writing."""
        file = self.open(path, writing=False)
        try:
            self.sync(file)
        finally:
            self.close(file)

    def write_replacing(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """Give a file new content: a reader sees all of the old or all of the new."""
        temporary = path.with_name(TEMPORARY + path.name)
        self.unlink(temporary)
        self.write_new(temporary, data, mode)
        self.move(temporary, path)

    def move(self, source: Path, target: Path) -> None:
        """Rename and sync both folders, the one that gains the name first."""
        self.rename(source, target)
        self.sync_folder(target.parent)
        if source.parent != target.parent:
            self.sync_folder(source.parent)

    def point(self, link: Path, target: str) -> None:
        """Make a symbolic link point at ``target``: atomic, and durable on return."""
        if link.is_symlink() and str(link.readlink()) == target:
            # Killed between rename and sync, the last attempt may not be on the disk yet.
            self.sync_folder(link.parent)
            return
        temporary = link.with_name(TEMPORARY + link.name)
        self.unlink(temporary)
        self.symlink(temporary, target)
        self.move(temporary, link)

    def remove(self, path: Path) -> None:
        """Remove a file or link durably, if there is one."""
        self.unlink(path)
        self.sync_folder(path.parent)

    def remove_tree(self, path: Path) -> None:
        """Remove a folder with all it holds, or a file; links are not followed."""
        if path.is_symlink() or not path.is_dir():
            self.unlink(path)
            return
        with storage_errors(path):
            children = list(path.iterdir())
        for child in children:
            self.remove_tree(child)
        self.remove_one_folder(path)

    def remove_leftovers(self, folder: Path) -> None:
        """Remove everything under a temporary name that a power cut left in a folder."""
        with storage_errors(folder):
            leftovers = [p for p in folder.iterdir() if p.name.startswith(TEMPORARY)]
        for path in leftovers:
            self.remove_tree(path)
        if leftovers:
            self.sync_folder(folder)
