"""One virtual machine under QEMU, driven through its guest agent: no password, no SSH."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.vm_image import Image

QEMU = "qemu-system-x86_64"
HOST = "10.0.2.2"
"""This machine's loopback, as the virtual one sees it."""
MEMORY_MIB = 512
BOOT_SECONDS = 300.0
ANSWER_SECONDS = 120.0
"""For the guest agent's answer, on a host that is busy with other things."""


class VirtualMachineError(Exception):
    """The machine did not do what was asked; says what it said."""


@dataclass(frozen=True)
class Processor:
    """What runs the machine's instructions, and why it is that."""

    name: str
    reason: str
    options: tuple[str, ...]


def processor(kvm: Path = Path("/dev/kvm"), cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """This machine's own by KVM where that runs any kernel, else one made of software."""
    software = ("-accel", "tcg,thread=multi", "-cpu", "max")
    if not os.access(kvm, os.R_OK | os.W_OK):
        return Processor("software", f"{kvm} is missing or not for us", software)
    # Without them a KVM runs only kernels that were made for it, and Debian's for minutes.
    if not {"vmx", "svm"} & set(cpuinfo.read_text().split()):
        return Processor("software", f"{kvm} is there, but no vmx or svm in {cpuinfo}", software)
    return Processor("KVM", f"{kvm} is usable", ("-accel", "kvm", "-cpu", "host"))


@dataclass(frozen=True)
class Done:
    """How a command in the machine ended."""

    status: int
    output: str
    errors: str


class VirtualMachine:
    """Boots on a throw-away copy of the image; ``files`` are handed over on a disk of their own."""

    def __init__(self, image: Image, folder: Path, files: Path) -> None:
        self._socket = folder / "guest-agent.sock"
        self._console = folder / "console.log"
        self._monitor = folder / "monitor.sock"
        self._numbers = itertools.count(1)
        self.processor = processor()
        handed_over = folder / "files.tar"
        with tarfile.open(handed_over, "w") as archive:
            archive.add(files, ".")
        self._process = subprocess.Popen(self._command(image, handed_over))

    def _command(self, image: Image, files: Path) -> list[str]:
        agent = f"socket,path={self._socket},server=on,wait=off,id=agent"
        return [
            *(QEMU, *self.processor.options, "-smp", "2"),
            *("-m", str(MEMORY_MIB), "-nodefaults", "-display", "none"),
            *("-serial", f"file:{self._console}", "-qmp", f"unix:{self._monitor},server,nowait"),
            *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
            *("-append", "root=/dev/vda rw console=ttyS0 quiet"),
            *("-drive", f"file={image.disk},format=raw,if=virtio,snapshot=on"),
            *("-drive", f"file={files},format=raw,if=virtio,readonly=on"),
            *("-chardev", agent, "-device", "virtio-serial"),
            *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
            *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net"),
        ]

    def close(self) -> None:
        """Switch it off for good."""
        self._process.kill()
        self._process.wait()

    def await_boot(self) -> None:
        """Wait until the machine has started everything."""
        end = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < end:
            # A machine that goes down forgets what it was asked.
            with suppress(OSError, VirtualMachineError):
                done = self.run("systemctl", "is-system-running", check=False, answer_seconds=10)
                # "degraded" as well: a unit may have failed on purpose.
                if done.output.strip() in {"running", "degraded"}:
                    return
            if self._process.poll() is not None:
                break
            time.sleep(1)
        console = self._console.read_text(errors="replace")[-3000:]
        raise VirtualMachineError(f"not up after {BOOT_SECONDS:g} s\n{console}")

    def cut_power(self) -> None:
        """Reset it without a warning, and wait until it is up again."""
        boot_before = self.run("cat", "/proc/sys/kernel/random/boot_id").output
        self._tell_qemu("system_reset")
        self.await_boot()
        assert self.run("cat", "/proc/sys/kernel/random/boot_id").output != boot_before

    def _tell_qemu(self, command: str) -> Any:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(20)
            monitor.connect(str(self._monitor))
            lines = monitor.makefile("rw")
            lines.readline()
            for each in ("qmp_capabilities", command):
                lines.write(json.dumps({"execute": each}) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
        return answer["return"]

    def shell(self, script: str, *, check: bool = True, seconds: float = 600) -> Done:
        """Run a shell script in the machine."""
        return self.run("/bin/sh", "-ec", script, check=check, seconds=seconds)

    def run(
        self,
        *command: str,
        check: bool = True,
        seconds: float = 120,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> Done:
        """Run a program in the machine; with ``check`` a failure raises VirtualMachineError."""
        request = {"path": command[0], "arg": command[1:], "capture-output": True}
        started = self._ask("guest-exec", request, answer_seconds)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = self._ask("guest-exec-status", {"pid": started["pid"]}, answer_seconds)
            if status["exited"]:
                done = Done(status.get("exitcode", -1), *map(_text(status), ("out", "err")))
                if check and done.status != 0:
                    raise VirtualMachineError(f"{command}: {done}")
                return done
            time.sleep(0.2)
        raise VirtualMachineError(f"{command}: not within {seconds:g} s")

    def write(self, path: str, text: str, mode: str = "0600") -> None:
        """Write a file in the machine, for root."""
        encoded = base64.b64encode(text.encode()).decode()
        self.shell(f"umask 077; echo {encoded} | base64 -d > {path}; chmod {mode} {path}")

    def _ask(self, command: str, arguments: dict[str, Any], seconds: float) -> Any:
        number = next(self._numbers)
        requests = (
            # What an earlier connection asked and did not wait for is answered before this.
            {"execute": "guest-sync", "arguments": {"id": number}},
            {"execute": command, "arguments": arguments},
        )
        with socket.socket(socket.AF_UNIX) as agent:
            agent.settimeout(seconds)
            agent.connect(str(self._socket))
            agent.sendall("".join(f"{json.dumps(request)}\n" for request in requests).encode())
            lines = agent.makefile()
            while _parsed(lines.readline()) != {"return": number}:
                pass
            answer = json.loads(lines.readline())
        if "error" in answer:
            raise VirtualMachineError(f"{command}: {answer['error']['desc']}")
        return answer["return"]


def _parsed(line: str) -> Any:
    """A line of the guest agent's; None for the rest of one whose beginning went elsewhere."""
    if not line:
        raise ConnectionError("the machine's guest agent hung up")
    with suppress(ValueError):
        return json.loads(line)
    return None


def _text(status: dict[str, Any]) -> Any:
    return lambda name: base64.b64decode(status.get(f"{name}-data", "")).decode(errors="replace")


def why_not() -> str | None:
    """Why no machine can be run here, or None."""
    if shutil.which(QEMU) is None:
        return f"there is no {QEMU}: apt-get install qemu-system-x86"
    return None
