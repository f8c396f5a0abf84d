"""Verified artifacts by content, ``blobs/<sha256>``; on the way there ``partial/<sha256>.part``.

A file is in ``blobs/`` only after its size and SHA-256 were checked by reading it, read-only and
synced; so an artifact is never downloaded twice and never changes under a reader.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
from collections.abc import Collection
from pathlib import Path

from agent.store.files import Files, storage_errors
from states.model import Package
from states.ports import Rejected
from states.reasons import Rejection

logger = logging.getLogger(__name__)

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PART = ".part"
_READ_ONLY = 0o444


class WrongContent(Rejected):
    """The bytes are not the artifact. ``actual`` is what they hash to."""

    def __init__(self, reason: Rejection, detail: str, actual: str) -> None:
        super().__init__(reason, detail)
        self.actual = actual


def digest(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file, by reading all of it. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        hashed = hashlib.file_digest(file, "sha256").hexdigest()
        return os.fstat(file.fileno()).st_size, hashed


class Blobs:
    """The two folders of one state directory."""

    def __init__(self, state_dir: Path, files: Files) -> None:
        self.folder = state_dir / "blobs"
        self.partial_folder = state_dir / "partial"
        self._files = files

    def path(self, sha256: str) -> Path:
        """Where a verified artifact is. Raises Rejected for text that is no SHA-256."""
        return self.folder / _checked(sha256)

    def partial_path(self, sha256: str) -> Path:
        """Where an artifact is gathered. Raises Rejected for text that is no SHA-256."""
        return self.partial_folder / (_checked(sha256) + _PART)

    def has(self, package: Package) -> bool:
        """Whether the verified bytes are on disk; a file of another size does not count."""
        path = self.path(package.sha256)
        with storage_errors(path):
            return path.is_file() and path.stat().st_size == package.size

    def any_beginning_with(self, prefix: str) -> bool:
        """Whether there is a verified artifact whose SHA-256 begins so."""
        with storage_errors(self.folder):
            return any(path.name.startswith(prefix) for path in self.folder.iterdir())

    def partial_bytes(self, package: Package) -> int:
        """Bytes of disk already taken by the partial download, never more than its size."""
        path = self.partial_path(package.sha256)
        with storage_errors(path):
            # Blocks arrive out of order, so the length says little; what is allocated does.
            taken = path.stat().st_blocks * 512 if path.exists() else 0
        return min(taken, package.size)

    def admit(self, package: Package, part: Path) -> Path:
        """Verify a complete download and give it its place; returns that path.

        Raises WrongContent (size-mismatch, hash-mismatch) after removing the bad file.
        """
        with storage_errors(part):
            size, actual = digest(part)
        if size != package.size or actual != package.sha256:
            self._files.remove(part)
            raise _wrong(package, size, actual)
        self._files.set_mode(part, _READ_ONLY)
        self._files.sync_closed(part)
        target = self.path(package.sha256)
        self._files.move(part, target)
        return target

    def remove_damaged(self, package: Package) -> bool:
        """Read a blob again and remove it when its bytes have changed; True if it was removed."""
        path = self.path(package.sha256)
        if not path.is_file():
            return False
        try:
            found: object = digest(path)
        except OSError as error:
            with storage_errors(path):
                if error.errno != errno.EIO:
                    raise
            found = "an unreadable sector"
        if found == (package.size, package.sha256):
            return False
        logger.error("%s is damaged (%s): removed, to be fetched again", path, found)
        self._files.remove(path)
        return True

    def sync(self) -> None:
        """Make sure that every name in ``blobs/`` is on the disk."""
        self._files.sync_folder(self.folder)

    def keep_only(self, digests: Collection[str]) -> None:
        """Remove all blobs but these."""
        self._keep(self.folder, set(digests))

    def keep_only_partials(self, digests: Collection[str]) -> None:
        """Remove all partial downloads but those of these digests."""
        self._keep(self.partial_folder, {digest + _PART for digest in digests})

    def _keep(self, folder: Path, names: set[str]) -> None:
        with storage_errors(folder):
            unneeded = [path for path in folder.iterdir() if path.name not in names]
        for path in unneeded:
            logger.info("removing %s: no release needs it", path)
            self._files.remove_tree(path)
        if unneeded:
            self._files.sync_folder(folder)


def _checked(sha256: str) -> str:
    if not _DIGEST.fullmatch(sha256):
        raise Rejected(
            Rejection.HASH_MISMATCH,
            f"{sha256[:80]!r} is no SHA-256 (64 lower-case hexadecimal digits)",
        )
    return sha256


def _wrong(package: Package, size: int, actual: str) -> WrongContent:
    what = f"{package.name} {package.version}"
    if size != package.size:
        return WrongContent(
            Rejection.SIZE_MISMATCH,
            f"{what} has {size} bytes, the deployment says {package.size}",
            actual,
        )
    return WrongContent(
        Rejection.HASH_MISMATCH,
        f"{what} hashes to {actual}, the deployment says {package.sha256}; publish it again",
        actual,
    )
