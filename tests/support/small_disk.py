"""A small file system of one's own, for a process in a namespace of its own.

Run something as ``[*IN_A_NAMESPACE, sys.executable, …]`` and mount in there: nobody else sees it,
and no right of this machine is needed where users may make namespaces.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

IN_A_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "--kill-child", "--fork")


def namespaces_work() -> bool:
    """Whether this user may make them."""
    try:
        return subprocess.run([*IN_A_NAMESPACE, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


class SmallDisk:
    """A tmpfs of so many bytes at ``folder``."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._ballast = folder / "ballast"
        self._mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs")

    def _mount(self, *options: str) -> None:
        subprocess.run(["mount", *options, str(self.folder)], check=True)

    def fill(self) -> None:
        """Leave not a single byte."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(os.sysconf("SC_PAGE_SIZE")))
            except OSError:
                return

    def make_room(self) -> None:
        """Take the ballast away."""
        self._ballast.unlink()

    def make_read_only(self) -> None:
        """Nobody may have anything open for writing."""
        self._mount("-o", "remount,ro")

    def make_writable(self) -> None:
        """As before."""
        self._mount("-o", "remount,rw")
