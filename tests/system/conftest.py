"""A local cloud and devices as real processes, with models small enough to be quick."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.cloud_process import CloudProcess
from demo.fleet import Fleet
from demo.stage import EDGEFERRY, Device, Document, serves
from provisioning.pki import KeyPair, create_ca, issue_device
from tests.support.tiny_models import TinyModel, reversed_colours
from tests.support.waiting import PATIENCE
from tests.support.worker_harness import assert_balanced

LABELS = b"red\ngreen\n"

pytestmark = pytest.mark.system


@dataclass
class Bench:
    """One device in a cohort of its own, and the operator's hand on both."""

    fleet: Fleet
    device: Device
    cloud: CloudProcess
    folder: Path
    device_id: str = ""
    tables: dict[str, dict[str, object]] = field(default_factory=dict)

    def configure(self, **golioth: object) -> None:
        """Write the device's configuration, with these keys of the golioth table."""
        self.tables = {
            "golioth": {"uri": self.cloud.address.coap, "requests_per_second": 0, **golioth},
            "download": {"checkpoint_seconds": 60},
            "worker": {"source": "synthetic:", "frames_per_second": 50},
            "telemetry": {"metrics_seconds": 1},
            "update": {"window_frames": 5, "first_retry_seconds": 0.5, "longest_retry_seconds": 2},
        }
        self.device.configure(self.tables)

    def use_signal_worker(self, pid_file: str) -> None:
        """Serve by a script that is only signalled."""
        path = str(self.device.state_dir / pid_file)
        self.tables["worker"] = {"kind": "signal", "pid_file": path}
        self.device.configure(self.tables)

    def use_psk(self, name: str) -> None:
        """Enroll the device with a pre-shared key."""
        enrolled = self.fleet.enroll(name)
        self.device_id = enrolled.device_id
        self.configure(psk_id=enrolled.identity, psk=enrolled.key)

    def certificate(self, folder: Path, *, trusted: bool) -> dict[str, object]:
        """Keys of the golioth table for a certificate of a CA that the project trusts, or not."""
        ca, device = KeyPair.in_folder(folder, "ca"), KeyPair.in_folder(folder, "client")
        create_ca(ca, "test CA")
        issue_device(ca, device, self.cloud.address.project, folder.name)
        if trusted:
            self.fleet.management.upload_ca(ca.certificate.read_bytes())
        return {
            "certificate": str(device.certificate),
            "private_key": str(device.key),
            "server_ca": str(self.cloud.address.server_ca),
        }

    def model(self, version: str, **changes: Any) -> Path:
        """A model file of its own content for each version; they all answer alike, as good ones."""
        return self._write_model(version, TinyModel(**changes))

    def contrary_model(self, version: str) -> Path:
        """One that says green to red and red to green."""
        return self._write_model(version, reversed_colours())

    def _write_model(self, version: str, model: TinyModel) -> Path:
        path = self.folder / f"model-{version}.tflite"
        path.write_bytes(model.build() + version.encode())
        return path

    def large_model(self, version: str, size: int) -> Path:
        """The same with trailing bytes that take time to fetch."""
        path = self.model(version)
        with path.open("ab") as file:
            file.write(bytes(i * 7 % 251 for i in range(size)))
        return path

    def deploy(self, version: str, model: Path | None = None, labels: bytes = LABELS) -> None:
        """Deploy a model of that version with its labels."""
        path = self.folder / f"labels-{len(labels)}.txt"
        path.write_bytes(labels)
        artifacts = self.fleet.upload(version, model or self.model(version), path)
        self.fleet.deploy(f"model {version}", artifacts)

    def await_served(self, version: str) -> Document:
        """Wait until that version serves."""
        return self.device.await_status(f"{version} serves", serves(version), PATIENCE)

    def streamed(self, *path: str) -> list[Document]:
        """What the device sent to the stream at that path, the newest first."""
        address = self.cloud.address
        answer = httpx.get(
            f"{address.http}/v1/projects/{address.project}/devices/{self.device_id}/stream",
            params={"interval": "1h"},
            headers={"x-api-key": address.api_key},
        )
        found = [entry["data"] for entry in answer.raise_for_status().json()["list"]]
        for name in path:
            found = [data[name] for data in found if name in data]
        return found

    def edgeferry(self, *words: str) -> subprocess.CompletedProcess[str]:
        """How a command ends that somebody types at the device."""
        return subprocess.run(
            (*EDGEFERRY, *words, "--config", str(self.device.config)),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def say(self, *words: str) -> str:
        """What a command prints; it must succeed."""
        ended = self.edgeferry(*words)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def states(self) -> list[str]:
        """Every state the device went through."""
        history = self.device.inspect(lambda inspector: inspector.history(10_000))
        return [step["target"] for step in history or []]


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    """One cloud for all tests that leave it alone, without a rate limit."""
    process = CloudProcess(tmp_path_factory.mktemp("cloud"), rate_limit=0)
    process.start()
    yield process
    process.process.stop()


@pytest.fixture
def bench(cloud: CloudProcess, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A device with a PSK in a cohort of its own; nothing is started yet."""
    yield from make_bench(cloud, tmp_path, request.node.name)


@pytest.fixture
def running(bench: Bench) -> Bench:
    """A device that is connected, its worker waiting for a model."""
    bench.device.start("worker")
    bench.device.start("run")
    bench.device.await_status("connected", lambda s: s["connected"], PATIENCE)
    return bench


def make_bench(cloud: CloudProcess, folder: Path, name: str) -> Iterator[Bench]:
    """A bench on that cloud, tidied up afterwards."""
    plain = f"device-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    fleet = Fleet(cloud.address, cohort=plain)
    bench = Bench(fleet, Device(folder / "device"), cloud, folder)
    bench.use_psk(plain)
    try:
        yield bench
        assert_all_counted(bench.device)
    finally:
        bench.device.stop()
        fleet.close()


def assert_all_counted(device: Device) -> None:
    """Whatever was done to a device: of a worker that is there, the counters balance."""
    if (device.state_dir / "worker.sock").exists():
        status = device.inspect(lambda inspector: inspector.status())
        if status and "frames" in (status["worker"] or {}):
            assert_balanced(status["worker"])
