"""A local cloud in a process of its own, with artifacts of given sizes to download from it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.worker.sandbox.starvation import processor_seconds
from demo.cloud_process import CloudProcess
from demo.fleet import Fleet

MODEL = "ai-model"
Patch = tuple[str, str, bytes]
"""Package, version and content of a companion."""


@dataclass(frozen=True)
class Target:
    """A deployed model: its digest and size (bytes), where the cloud has it, and who gets it."""

    sha256: str
    size: int
    uri: str
    cohort: str


class BenchCloud:
    """A running cloud. Each artifact has a cohort, each download a device of its own."""

    def __init__(self, process: CloudProcess) -> None:
        self._process = process
        self._fleets: dict[str, Fleet] = {}
        self._devices = 0
        self.coap = process.address.gateway

    @property
    def cpu_seconds(self) -> float:
        """Processor time it has used so far."""
        return processor_seconds(self._process.process.pid)

    def publish(self, size: int) -> Target:
        """Deploy so many random bytes, the same ones in every run."""
        return self.deploy(f"{size}", random.Random(size).randbytes(size))

    def deploy(
        self, version: str, content: bytes, *, cohort: str = "", patch: Patch | None = None
    ) -> Target:
        """Deploy a model to a cohort, by default one of its own."""
        cohort = cohort or version
        if cohort not in self._fleets:
            self._fleets[cohort] = Fleet(self._process.address, cohort)
        fleet = self._fleets[cohort]
        parts = [(MODEL, version, content), *([patch] if patch else [])]
        fleet.deploy(version, [fleet.management.publish(*part).id for part in parts])
        digest = hashlib.sha256(content).hexdigest()
        return Target(digest, len(content), f"/.u/c/{MODEL}@{version}", cohort)

    def credential(self, target: Target) -> dict[str, str]:
        """Identity and key of a new device that is to download this."""
        self._devices += 1
        device = self._fleets[target.cohort].enroll(f"bench-{self._devices}")
        return {"identity": device.identity, "key": device.key}

    def close(self) -> None:
        """Close the connections and stop it."""
        for fleet in self._fleets.values():
            fleet.close()
        self._process.process.stop()


@contextmanager
def bench_cloud(folder: Path, rate_limit: float) -> Iterator[BenchCloud]:
    """A cloud over ``folder`` with that many requests per second for each device, 0 for any."""
    process = CloudProcess(folder, rate_limit=rate_limit)
    process.start()
    cloud = BenchCloud(process)
    try:
        yield cloud
    finally:
        cloud.close()
