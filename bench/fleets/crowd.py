"""A local cloud and a crowd of simulated devices in a few processes beside it."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.worker.sandbox.starvation import processor_seconds
from bench.support.child import Child, child
from bench.support.process import proportional_bytes
from demo.cloud_process import CloudProcess
from provisioning.management import Management
from provisioning.pki import KeyPair, create_ca, issue_device

COHORT = "fleet"
PACKAGE = "ai-model"
DEVICES_PER_PROCESS = 250
ONE_CERTIFICATE_IN = 20
"""Devices of which one has a certificate; the others have pre-shared keys."""

_PATIENCE = 1800.0


@dataclass(frozen=True)
class Step:
    """When devices reached a step: sorted times by the machine's monotonic clock."""

    times: tuple[float, ...]
    mishaps: Mapping[str, int]

    @property
    def last(self) -> float:
        """When all had."""
        return self.times[-1]


class Cloud:
    """A real cloud process, its operator, and what the process takes."""

    def __init__(self, folder: Path, rate_limit: float) -> None:
        self._folder = folder
        self._process = CloudProcess(folder / "cloud", rate_limit=rate_limit)
        self._process.start()
        address = self._process.address
        self.management = Management(address.http, address.api_key, address.project)
        self.coap = address.gateway

    @property
    def cpu_seconds(self) -> float:
        """Processor time the present process has used so far."""
        return processor_seconds(self._process.process.pid)

    @property
    def memory(self) -> int:
        """Proportional set size of the present process, in bytes."""
        return proportional_bytes(self._process.process.pid)

    def enroll(self, count: int) -> list[dict[str, str]]:
        """Make so many devices in a cohort; what each of them shows."""
        self.management.create_cohort(COHORT)
        ca = create_ca(KeyPair.in_folder(self._folder / "ca", "ca"), "Simulated fleet")
        self.management.upload_ca(ca.certificate.read_bytes())
        return [
            self._with_certificate(ca, f"fleet-{number}")
            if number % ONE_CERTIFICATE_IN == 0
            else self._with_key(f"fleet-{number}")
            for number in range(count)
        ]

    def credential(self, name: str) -> dict[str, str]:
        """What a further device shows that is in no cohort."""
        return self._with_key(name, cohort=None)

    def publish(self, version: str, size: int) -> str:
        """Upload so many random bytes; returns the artifact's id."""
        content = random.Random(size).randbytes(size)
        return self.management.publish(PACKAGE, version, content).id

    def deploy(self, artifact_id: str) -> None:
        """Deploy an artifact to all devices."""
        self.management.deploy(COHORT, "", [artifact_id])

    def updated(self, version: str) -> int:
        """How many devices have that version by what the API tells of them."""
        reports = (
            device.updates.get(PACKAGE) for device in self.management.devices(cohort_id=COHORT)
        )
        return sum(report is not None and report.version == version for report in reports)

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self._process.process.stop()

    def start(self) -> None:
        """Start it anew on the same ports and data."""
        self._process.start()

    def close(self) -> None:
        """The end of everything."""
        self.management.close()
        if self._process.process.running:
            self.stop()

    def _with_key(self, name: str, cohort: str | None = COHORT) -> dict[str, str]:
        device = self.management.create_device(name, cohort_id=cohort)
        key = secrets.token_hex(16)
        return {"identity": self.management.add_psk(device.id, name, key).identity, "key": key}

    def _with_certificate(self, ca: KeyPair, name: str) -> dict[str, str]:
        self.management.create_device(name, cohort_id=COHORT)
        pair = KeyPair.in_folder(self._folder / name, "client")
        issue_device(ca, pair, self.management.project, name)
        return {
            "certificate": str(pair.certificate),
            "private_key": str(pair.key),
            "server_ca": str(self._process.address.server_ca),
        }


class Crowd:
    """Simulated devices in several processes, as one."""

    def __init__(self, children: list[Child]) -> None:
        self._children = children

    async def go_on(self) -> None:
        """Let all devices connect; a second time, count the steps of connecting anew."""
        for each in self._children:
            await each.tell()

    async def reach(self, step: str) -> Step:
        """Wait until all devices have reached it; steps are to be awaited in their order."""
        async with asyncio.timeout(_PATIENCE):
            said = await asyncio.gather(*(each.hear(step) for each in self._children))
        mishaps: dict[str, int] = {}
        for part in said:
            for name, count in part["mishaps"].items():
                mishaps[name] = mishaps.get(name, 0) + count
        return Step(tuple(sorted(time for part in said for time in part["times"])), mishaps)


@asynccontextmanager
async def crowd(address: tuple[str, int], devices: list[dict[str, str]]) -> AsyncIterator[Crowd]:
    """Devices that show these credentials, ready to connect; gone at the end."""
    host, port = address
    async with AsyncExitStack() as stack:
        children = []
        for first in range(0, len(devices), DEVICES_PER_PROCESS):
            order = {
                "host": host,
                "port": port,
                "devices": devices[first : first + DEVICES_PER_PROCESS],
            }
            children.append(await stack.enter_async_context(child("bench.fleets.simulate", order)))
        for each in children:
            await each.greet(_PATIENCE)
        yield Crowd(children)
