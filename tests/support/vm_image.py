"""A small Debian with systemd as a disk for QEMU, built once and kept in ``.cache/vm``.

What it needs of this machine: root, mmdebstrap and e2fsprogs, and Debian's package archive.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache" / "vm"
SUITE = "bookworm"
DISK_SIZE = "3G"
CLOUD_KERNEL = "linux-image-cloud-amd64"
FULL_KERNEL = "linux-image-amd64"
"""Starts more slowly, but has modules for more file systems: f2fs."""
PACKAGES = (
    "systemd-sysv",
    "dbus",
    "udev",
    "initramfs-tools",
    "python3",
    "python3-venv",
    "ca-certificates",
    "procps",
    "qemu-guest-agent",
)
NETWORK = """\
[Match]
Name=en* eth*
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
"""
_LEFT_OUT = "/usr/share/doc/* /usr/share/man/* /usr/share/locale/*"
_NEEDED = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs"}


class ImageUnavailableError(Exception):
    """There is no image and none can be built here; says why."""


@dataclass(frozen=True)
class Image:
    """What QEMU boots."""

    disk: Path
    kernel: Path
    initrd: Path


def image(kernel: str = CLOUD_KERNEL) -> Image:
    """The image, built now if this is the first time, which takes about two minutes.

    Raises ImageUnavailableError.
    """
    packages = (*PACKAGES, kernel)
    recipe = repr((SUITE, DISK_SIZE, packages, NETWORK, _LEFT_OUT))
    folder = CACHE / hashlib.sha256(recipe.encode()).hexdigest()[:12]
    built = Image(folder / "disk.raw", folder / "vmlinuz", folder / "initrd.img")
    if not folder.exists():
        _check_tools()
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            finished = _build(Path(scratch), packages)
            finished.rename(folder)
    return built


def _check_tools() -> None:
    if os.geteuid() != 0:
        raise ImageUnavailableError("no image was built yet, and building one needs root")
    for program, package in _NEEDED.items():
        if shutil.which(program) is None:
            raise ImageUnavailableError(f"there is no {program}: apt-get install {package}")


def _build(scratch: Path, packages: tuple[str, ...]) -> Path:
    root, finished = scratch / "root", scratch / "finished"
    excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT.split()]
    options = ["--quiet", "--variant=minbase", f"--include={','.join(packages)}", *excluded]
    subprocess.run(["mmdebstrap", *options, SUITE, str(root)], check=True)
    (root / "etc/systemd/network/80-vm.network").write_text(NETWORK)
    (root / "etc/hostname").write_text("edge\n")
    subprocess.run(
        ["systemctl", f"--root={root}", "--quiet", "enable", "systemd-networkd"], check=True
    )
    finished.mkdir()
    for name in ("vmlinuz", "initrd.img"):
        newest = max((root / "boot").glob(f"{name}-*"))
        shutil.copy(newest, finished / name)
    disk = str(finished / "disk.raw")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), disk, DISK_SIZE], check=True)
    return finished
