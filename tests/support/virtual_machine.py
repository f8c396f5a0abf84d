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

from tests.support.machine import Done, Machine, MachineError
from tests.support.vm_image import Image

QEMU = "qemu-system-x86_64"
MEMORY_MIB = 512
ANSWER_SECONDS = 120.0
"""For the guest agent's answer, on a host that is busy with other things."""


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


class VirtualMachine(Machine):
    """Boots on a throw-away copy of the image; ``files`` are handed over on a disk of their own."""

    # This machine's loopback, by QEMU's user network.
    host = "10.0.2.2"
    limits_memory = True

    def __init__(self, image: Image, folder: Path, files: Path) -> None:
        self._socket = folder / "guest-agent.sock"
        self._console = folder / "console.log"
        self._monitor = folder / "monitor.sock"
        self._numbers = itertools.count(1)
        self._processor = processor()
        self.kind = f"QEMU, processor by {self._processor.name}: {self._processor.reason}"
        handed_over = folder / "files.tar"
        with tarfile.open(handed_over, "w") as archive:
            archive.add(files, ".")
        self._process = subprocess.Popen(self._command(image, handed_over))

    def _command(self, image: Image, files: Path) -> list[str]:
        agent = f"socket,path={self._socket},server=on,wait=off,id=agent"
        return [
            *(QEMU, *self._processor.options, "-smp", "2"),
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

    def take_files(self) -> None:
        self.shell("tar -xf /dev/vdb -C /root")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def alive(self) -> bool:
        return self._process.poll() is None

    def console(self) -> str:
        return self._console.read_text(errors="replace")[-3000:]

    def cut_power(self) -> None:
        boot_before = self.run("cat", "/proc/sys/kernel/random/boot_id").output
        tell_qemu(self._monitor, "system_reset")
        self.await_boot()
        assert self.run("cat", "/proc/sys/kernel/random/boot_id").output != boot_before

    def run(self, *command: str, check: bool = True, seconds: float = 120) -> Done:
        # The guest agent of a busy machine answers late, that of one which starts not at all.
        answer_seconds = min(seconds, ANSWER_SECONDS)
        request = {"path": command[0], "arg": command[1:], "capture-output": True}
        started = self._ask("guest-exec", request, answer_seconds)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = self._ask("guest-exec-status", {"pid": started["pid"]}, answer_seconds)
            if status["exited"]:
                done = Done(status.get("exitcode", -1), *map(_text(status), ("out", "err")))
                if check and done.status != 0:
                    raise MachineError(f"{command}: {done}")
                return done
            time.sleep(0.2)
        raise MachineError(f"{command}: not within {seconds:g} s")

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
            raise MachineError(f"{command}: {answer['error']['desc']}")
        return answer["return"]


def tell_qemu(monitor: Path, command: str, **arguments: Any) -> Any:
    """What QEMU returns for a command over its monitor's socket (QMP)."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(monitor))
        lines = connection.makefile("rw")
        lines.readline()
        for name, given in (("qmp_capabilities", {}), (command, arguments)):
            lines.write(json.dumps({"execute": name, "arguments": given}) + "\n")
            lines.flush()
            # Whatever happens to the machine meanwhile is told in between.
            while "event" in (answer := json.loads(lines.readline())):
                pass
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
