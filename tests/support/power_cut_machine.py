"""A machine under QEMU whose power is cut by SIGKILL of QEMU, and that is back in seconds.

It boots once and is saved in the moment before it touches its disk; each further start begins with
what was saved. The disk is a raw file that QEMU writes through this machine's page cache: what the
machine has handed to it is there after the kill, and what its kernel still held back is lost.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.virtual_machine import QEMU, processor, tell_qemu
from tests.support.vm_image import Image

MEMORY_MIB = 448
DISK_MIB = {"ext4": 64, "f2fs": 256}
_TOOLS = {"ext4": {"mkfs.ext4": "e2fsprogs"}, "f2fs": {"mkfs.f2fs": "f2fs-tools"}}
BOOT_SECONDS = 900.0
GUEST = "tests.vm.power_cut_guest"
_PACKAGES = ("agent", "demo", "localcloud", "protocol", "provisioning", "states", "tests")
_REPOSITORY = Path(__file__).parents[2]
# Whatever ends the first process ends the machine.
KERNEL_OPTIONS = "root=/dev/vda ro console=ttyS0 loglevel=4 panic=-1 init=/init-for-power-cuts"
_INIT = f"""\
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH=/mnt PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t tmpfs tmp /tmp
mount -o ro /dev/vdb /mnt
cd /mnt
exec python3 -m {GUEST} /dev/ttyS1
"""


class PowerCutMachineError(Exception):
    """The machine did not start or said something that is no JSON; says what it said."""


def make_disk(path: Path, file_system: str) -> None:
    """Make an empty disk."""
    with path.open("wb") as file:
        file.truncate(DISK_MIB[file_system] << 20)
    subprocess.run([f"mkfs.{file_system}", "-q", str(path)], check=True)


class PowerCutMachine:
    """Everything in ``folder``; start it as often as you like."""

    def __init__(self, image: Image, folder: Path) -> None:
        self._image = image
        self._folder = folder
        self._root, self._code = folder / "root.raw", folder / "code.raw"
        self._saved = folder / "saved"
        self._monitor = folder / "monitor.sock"
        self._console = folder / "console.log"
        self._process: subprocess.Popen[bytes]
        self._make_root()
        self._make_code()

    def _make_root(self) -> None:
        subprocess.run(["cp", "--sparse=always", self._image.disk, self._root], check=True)
        init = self._folder / "init"
        init.write_text(_INIT)
        commands = f"write {init} init-for-power-cuts\nsif init-for-power-cuts mode 0100755\n"
        subprocess.run(
            ["debugfs", "-w", "-f", "-", str(self._root)],
            input=commands.encode(),
            check=True,
            capture_output=True,
        )

    def _make_code(self) -> None:
        """Our own packages, and of the libraries those that are really loaded."""
        content = self._folder / "code"
        for package in _PACKAGES:
            shutil.copytree(
                _REPOSITORY / package,
                content / package,
                ignore=shutil.ignore_patterns("__pycache__", "models", "pictures"),
            )
        libraries = Path(sysconfig.get_path("platlib"))
        for name in _loaded(libraries):
            if (libraries / name).is_dir():
                shutil.copytree(libraries / name, content / name)
            else:
                shutil.copy(libraries / name, content)
        # Sooner than a machine can say it: nothing is missing.
        alone = (sys.executable, "-S", "-c", f"import {GUEST}")
        subprocess.run(alone, check=True, cwd=content, env={"PYTHONDONTWRITEBYTECODE": "1"})
        command = ("mke2fs", "-q", "-t", "ext4", "-d", str(content), str(self._code), "400M")
        subprocess.run(command, check=True, capture_output=True)

    def boot(self, disk: Path) -> None:
        """Boot for real, until it waits for its order."""
        self._start(disk)
        self._await_ready(BOOT_SECONDS)

    def save(self) -> None:
        """Save what was booted, and switch it off."""
        tell_qemu(self._monitor, "migrate", uri=f"exec:cat > {self._saved}")
        while (status := tell_qemu(self._monitor, "query-migrate")["status"]) != "completed":
            if status == "failed":
                raise PowerCutMachineError("the machine could not be saved")
            time.sleep(0.2)
        self.cut_power()

    def resume(self, disk: Path) -> None:
        """Start with what was saved; it waits for its order."""
        self._start(disk, "-incoming", f"exec:cat {self._saved}")

    def order(self, **what: Any) -> None:
        """Tell the machine what to do, once it runs."""
        assert self._process.stdin
        while not self._runs():
            time.sleep(0.1)
        # Empty lines first: what its serial line was doing when it was saved may cost a byte.
        self._process.stdin.write(b"\n\n" + json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()

    def _runs(self) -> bool:
        if self._process.poll() is not None:
            raise PowerCutMachineError(f"QEMU ended\n{self.console()}")
        try:
            return bool(tell_qemu(self._monitor, "query-status")["running"])
        except OSError:
            return False  # it has only just begun

    def said(self) -> Iterator[dict[str, Any]]:
        """What it says, line by line, until the power is cut."""
        assert self._process.stdout
        for line in self._process.stdout:
            try:
                yield json.loads(line)
            except ValueError:
                if line.endswith(b"\n"):  # otherwise it was cut off
                    raise PowerCutMachineError(f"{line!r}\n{self.console()}") from None

    def cut_power(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def close(self) -> None:
        """Wait until it is off."""
        self._process.kill()
        self._process.wait()

    def console(self) -> str:
        """The end of what its kernel said."""
        return self._console.read_text(errors="replace")[-3000:]

    def _start(self, disk: Path, *more: str) -> None:
        self._monitor.unlink(missing_ok=True)
        drives = (
            f"file={self._root},format=raw,if=virtio,readonly=on",
            f"file={self._code},format=raw,if=virtio,readonly=on",
            f"file={disk},format=raw,if=virtio,cache=writeback",
        )
        command = [
            *(QEMU, *processor().options, "-smp", "1", "-m", str(MEMORY_MIB)),
            *(
                "-nodefaults",
                "-display",
                "none",
                "-no-reboot",
                "-qmp",
                f"unix:{self._monitor},server,nowait",
            ),
            *("-serial", f"file:{self._console}", "-serial", "stdio"),
            *("-kernel", str(self._image.kernel), "-initrd", str(self._image.initrd)),
            *("-append", KERNEL_OPTIONS),
            *(option for drive in drives for option in ("-drive", drive)),
            *more,
        ]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)

    def _await_ready(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        for line in self.said():
            if "ready" in line:
                return
            if time.monotonic() > end:
                break
        errors = self._process.stderr.read() if self._process.stderr else b""
        raise PowerCutMachineError(f"not ready; {errors!r}\n{self.console()}")


def _loaded(libraries: Path) -> list[str]:
    """Names in site-packages that the machine's program needs."""
    ask = (
        f"import sys, {GUEST}\n"
        "files = [getattr(m, '__file__', None) or '' for m in sys.modules.values()]\n"
        f"print(*{{f.removeprefix({str(libraries)!r}).split('/')[1] for f in files"
        f" if f.startswith({str(libraries)!r})}})"
    )
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", ask], check=True, capture_output=True, text=True, env=environment
    )
    # Shared libraries of wheels lie beside their package.
    names = done.stdout.split()
    return sorted({*names, *(f"{n}.libs" for n in names if (libraries / f"{n}.libs").is_dir())})


def why_not(file_system: str) -> str | None:
    """Why there can be no such machine here, or None."""
    if sys.version_info[:2] != (3, 11):
        return "the machine has Python 3.11, and libraries are taken from here"
    needed = {QEMU: "qemu-system-x86", "debugfs": "e2fsprogs", **_TOOLS[file_system]}
    for program, package in needed.items():
        if shutil.which(program) is None:
            return f"there is no {program}: apt-get install {package}"
    return None
