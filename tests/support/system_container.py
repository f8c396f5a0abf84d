"""The virtual machine's Debian in a container of systemd-nspawn: the same services in minutes.

It shares this machine's kernel and network. So its memory limits depend on this machine, and a
power cut only kills everything: what was written to files but not synced is still there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.support.machine import Done, Machine, MachineError
from tests.support.vm_image import Image

_NSPAWN = "systemd-nspawn"
# Those by which trials confine themselves; nspawn's own list leaves them out.
_SYSTEM_CALLS = "landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class SystemContainer(Machine):
    """Boots on a throw-away layer above the image."""

    kind = "a container of systemd-nspawn on this machine's kernel"
    host = "127.0.0.1"
    limits_memory = False

    def __init__(self, image: Image, folder: Path, files: Path) -> None:
        self._files = files
        self._console = folder / "console.log"
        layers = {name: folder / name for name in ("image", "changes", "work", "root")}
        for layer in layers.values():
            layer.mkdir()
        self._root, self._image = layers["root"], layers["image"]
        _mount("-o", "loop,ro", image.disk, self._image)
        options = "lowerdir={image},upperdir={changes},workdir={work}".format_map(layers)
        _mount("-t", "overlay", "-o", options, "overlay", self._root)
        self._start()

    def _start(self) -> None:
        command = [
            *(_NSPAWN, "--quiet", f"--directory={self._root}", "--boot", "--machine=edge"),
            *("--register=no", "--keep-unit", "--console=pipe"),
            f"--system-call-filter={_SYSTEM_CALLS}",
        ]
        with self._console.open("ab") as console:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )

    def take_files(self) -> None:
        shutil.copytree(self._files, self._root / "root", dirs_exist_ok=True)

    def run(self, *command: str, check: bool = True, seconds: float = 120) -> Done:
        enter = ["nsenter", f"--target={self._init()}"]
        enter += [f"--{space}" for space in ("mount", "uts", "ipc", "pid", "net", "cgroup")]
        environment = ("env", "-i", _PATH, "HOME=/root")
        try:
            done = subprocess.run(
                [*enter, "--", *environment, *command],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=seconds,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as error:
            raise MachineError(f"{command}: not within {seconds:g} s") from error
        if check and done.returncode != 0:
            raise MachineError(f"{command}: {done}")
        return Done(done.returncode, done.stdout, done.stderr)

    def _init(self) -> int:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        try:
            return int(children.read_text().split()[0])
        except (OSError, IndexError) as error:
            raise MachineError(f"the container does not run\n{self.console()}") from error

    def cut_power(self) -> None:
        self._kill()
        self._start()
        self.await_boot()

    def _kill(self) -> None:
        # All processes of the container end with its first.
        os.kill(self._init(), signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        if self.alive():
            self._kill()
        for folder in (self._root, self._image):
            subprocess.run(["umount", folder], check=True)

    def alive(self) -> bool:
        return self._process.poll() is None

    def console(self) -> str:
        return self._console.read_text(errors="replace")[-3000:]


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def why_not() -> str | None:
    """Why no container can be run here, or None."""
    if os.geteuid() != 0:
        return "a container that boots needs root"
    if shutil.which(_NSPAWN) is None:
        return f"there is no {_NSPAWN}: apt-get install systemd-container"
    return None
