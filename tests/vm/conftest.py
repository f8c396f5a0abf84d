"""A device with systemd in a virtual machine, its cloud on this one. Opt-in: make vm."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.cloud_process import CloudProcess
from demo.fleet import Fleet
from demo.stage import Document, await_that
from tests.support import system_container, virtual_machine
from tests.support.machine import Machine
from tests.support.small_wheel import SYSTEMD
from tests.support.system_container import SystemContainer
from tests.support.virtual_machine import VirtualMachine
from tests.support.vm_image import ImageUnavailableError, image

WHEELHOUSE = Path(os.environ.get("EDGEFERRY_VM_WHEELHOUSE", "dist/wheelhouse"))
COMMAND = "edgeferry"
INSTALL = "/root/install.sh --wheelhouse /root/wheelhouse"
PICTURES = "/opt/edgeferry/current/lib/python3.11/site-packages/demo/pictures"
MODELS = Path(__file__).parents[2] / "demo" / "models"
PATIENCE = 400.0
MACHINES = {
    "qemu": (VirtualMachine, virtual_machine.why_not),
    "container": (SystemContainer, system_container.why_not),
}
"""What EDGEFERRY_VM may be, and why that is not possible here."""
_NOTES: list[str] = []


def note(about: str, what: object) -> None:
    """Have it said at the end of the run, also when everything passed."""
    _NOTES.append(f"{about}: {what}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the steps measured and were told."""
    if _NOTES:
        terminalreporter.section("what the steps saw")
        for line in _NOTES:
            terminalreporter.write_line(line)


class Device:
    """The virtual machine as a device, and the operator's hand on its cloud."""

    def __init__(self, machine: Machine, cloud: CloudProcess) -> None:
        self.machine = machine
        self.cloud = cloud
        self.fleet = Fleet(cloud.address, cohort="machines")
        enrolled = self.fleet.enroll("machine")
        self._identity, self._key = enrolled.identity, enrolled.key

    def configure(self) -> None:
        """Write settings and credentials as docs/install.md says."""
        port = self.cloud.address.coap.rpartition(":")[2]
        self.machine.write("/etc/credstore/edgeferry.psk-id", self._identity)
        self.machine.write("/etc/credstore/edgeferry.psk", self._key)
        settings: dict[str, dict[str, object]] = {
            "golioth": {"uri": f"coaps://{self.machine.host}:{port}", "requests_per_second": 100},
            # More would keep an emulated machine from everything else.
            "worker": {"source": f"dir:{PICTURES}", "frames_per_second": 2},
            "update": {"window_frames": 10},
            "samples": {"on": True, "below": 1.0, "quota_bytes": 1_000_000},
        }
        lines = []
        for name, table in settings.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        self.machine.shell(f"cat > /etc/edgeferry/agent.toml <<'END'\n{chr(10).join(lines)}\nEND\n")

    def deploy(self, version: str, model: str = "model-1.tflite", padding: int = 0) -> None:
        """Deploy one of the demo's models, longer by that many bytes."""
        path = self.cloud.address.server_ca.parent / f"model-{version}.tflite"
        filler = bytes(i * 7 % 251 for i in range(padding))
        path.write_bytes((MODELS / model).read_bytes() + filler)
        artifacts = self.fleet.upload(version, path, MODELS / "labels.txt")
        self.fleet.deploy(f"model {version}", artifacts)

    def status(self) -> Document:
        """``edgeferry status --json``, asked in the machine."""
        done = self.machine.run(COMMAND, "status", "--json", check=False)
        found: Document = json.loads(done.output) if done.status == 0 else {}
        return found

    def active_version(self) -> str:
        """Of the model that serves."""
        return str(self.status()["active"]["packages"]["ai-model"]["version"])

    def newest_update(self) -> Document:
        """``edgeferry explain --json``, asked in the machine."""
        found: Document = json.loads(self.machine.run(COMMAND, "explain", "--json").output)
        return found

    def await_status(self, what: str, holds: Callable[[Document], Any]) -> Document:
        """Wait until the status fulfils ``holds``."""

        def ask() -> Document | None:
            status = self.status()
            return status if status and holds(status) else None

        found: Document = await_that(what, ask, PATIENCE, self.log)
        return found

    def await_served(self, version: str) -> Document:
        """Wait until that version serves and nothing else is under way."""

        def holds(status: Document) -> bool:
            active, worker = status["active"], status["worker"]
            return bool(
                status["state"] == "idle"
                and active
                and active["packages"]["ai-model"]["version"] == version
                and worker.get("release") == active["id"]
                and worker["fps"] > 0
            )

        return self.await_status(f"{version} serves", holds)

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of edgeferry-<unit>.service."""
        wanted = f"--property={','.join(properties)}"
        done = self.machine.run("systemctl", "show", f"edgeferry-{unit}.service", wanted)
        return dict(line.split("=", 1) for line in done.output.splitlines())

    def await_unit(self, unit: str, **wanted: str) -> dict[str, str]:
        """Wait until a unit's properties are these."""

        def ask() -> dict[str, str] | None:
            shown = self.show(unit, *wanted)
            return shown if shown == wanted else None

        found: dict[str, str] = await_that(f"{unit} {wanted}", ask, PATIENCE, self.log)
        return found

    def memory(self, unit: str) -> dict[str, int]:
        """MiB a unit takes now and took at most, and how often a limit held it back."""
        folder = f"/sys/fs/cgroup/system.slice/edgeferry-{unit}.service"
        script = "cd {}; cat memory.current memory.peak; cut -d' ' -f2 memory.events"
        now, peak, _, *held_back = map(
            int, self.machine.shell(script.format(folder)).output.split()
        )
        return {"now": now >> 20, "peak": peak >> 20, "held back": sum(held_back)}

    def pid(self, unit: str) -> str:
        """The main process of a unit."""
        return self.show(unit, "MainPID")["MainPID"]

    def log(self) -> str:
        """The end of both units' logs."""
        units = ("-u", "edgeferry-agent", "-u", "edgeferry-worker")
        return self.machine.run("journalctl", "--no-pager", "-n", "60", *units).output


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """A booted machine with the wheelhouse and the installer in /root; nothing is installed yet."""
    chosen = os.environ.get("EDGEFERRY_VM")
    if not chosen:
        pytest.skip("a virtual machine takes minutes; run it with `make vm`")
    if reason := MACHINES[chosen][1]():
        pytest.skip(reason)
    if not WHEELHOUSE.is_dir():
        pytest.skip("there is no wheelhouse: make wheelhouse")
    try:
        built = image()
    except ImageUnavailableError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("vm")
    files = folder / "files"
    shutil.copytree(WHEELHOUSE, files / "wheelhouse")
    shutil.copy(SYSTEMD / "install.sh", files)
    for package in WHEELHOUSE.parent.glob("edgeferry_*.deb"):
        shutil.copy(package, files / "edgeferry.deb")
    cloud = CloudProcess(folder / "cloud", rate_limit=0)
    cloud.start()
    started = time.monotonic()
    machine = MACHINES[chosen][0](built, folder, files)
    try:
        machine.await_boot()
        note("machine", f"{machine.kind}; up after {time.monotonic() - started:.0f} s")
        machine.take_files()
        yield Device(machine, cloud)
    finally:
        machine.close()
        cloud.process.stop()
