"""Bytes of artifacts on disk."""

from __future__ import annotations

import hashlib
import os
from mmap import ACCESS_READ, mmap
from pathlib import Path

from localcloud.files import TEMPORARY, write_whole


class ArtifactFiles:
    """Bytes of artifacts, in files named by their SHA-256."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True, mode=0o700)
        self._folder = folder
        for leftover in folder.glob(f"*{TEMPORARY}"):
            leftover.unlink()

    def path(self, sha256: str) -> Path:
        """Where the bytes are."""
        return self._folder / sha256

    def write(self, content: bytes) -> str:
        """Store bytes durably; returns their SHA-256 as lower-case hexadecimal digits."""
        sha256 = hashlib.sha256(content).hexdigest()
        target = self.path(sha256)
        if target.exists():
            return sha256
        write_whole(target, content, mode=0o600)
        return sha256

    def remove(self, sha256: str) -> None:
        """Forget bytes nothing refers to any more."""
        self.path(sha256).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """SHA-256 of everything stored."""
        return [path.name for path in self._folder.iterdir()]


class ArtifactContent:
    """The bytes of an artifact, mapped into memory: read as they are asked for, kept once."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.size = os.fstat(file.fileno()).st_size
            # There is no such thing as a mapping of nothing.
            self._bytes = mmap(file.fileno(), 0, access=ACCESS_READ) if self.size else b""

    def read(self, start: int, length: int) -> bytes:
        """Bytes from ``start`` on, fewer than ``length`` at the end."""
        return self._bytes[start : start + length]
