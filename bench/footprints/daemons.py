"""The device's processes: agent, worker, and an engine beside the one that serves."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.footprints.starting import Cost, service_manager
from bench.support.process import children, proportional_bytes
from bench.support.releases import Pair
from bench.support.worker import bench_worker
from demo.cloud_process import CloudAddress
from demo.fleet import Fleet
from demo.stage import Device

_CAMERA: dict[str, object] = {
    "source": "synthetic:",
    "frames_per_second": 30,
    "runtime": "ai-edge-litert",
}
_PATIENCE = 300.0
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Agent:
    """``ready`` is when the service manager hears of it, ``connected`` the cost until then."""

    ready: float
    connected: Cost


@dataclass(frozen=True)
class Worker:
    """``whole`` with its camera process and engine, until the first classified picture.

    ``own`` is the memory of the worker's own process, in bytes. ``engine`` is what a second engine
    takes, from the order to prepare it until it is warm.
    """

    whole: Cost
    own: int
    engine: Cost


def enrolled(folder: Path, address: CloudAddress) -> Device:
    """A device of that cloud, whose agent has not run yet."""
    fleet = Fleet(address, cohort="footprint")
    try:
        credential = fleet.enroll("footprint")
    finally:
        fleet.close()
    device = Device(folder)
    device.configure(
        {
            "golioth": {
                "uri": address.coap,
                "psk_id": credential.identity,
                "psk": credential.key,
            }
        }
    )
    return device


async def agent(device: Device) -> Agent:
    """Start the agent and wait until it has connected."""
    return await asyncio.to_thread(_agent, device)


def _agent(device: Device) -> Agent:
    with service_manager(device.folder) as manager:
        began = time.monotonic()
        process = device.start("run", manager.environment)
        try:
            ready = manager.hear_ready() - began
            device.await_status(
                "the agent connects", lambda s: s["connected"], _PATIENCE, _LOOK_SECONDS
            )
            return Agent(ready, Cost.of([process.pid], time.monotonic() - began))
        finally:
            device.stop()


async def worker(folder: Path, pair: Pair) -> Worker:
    """Start a worker over an active release; then have it prepare the other one."""
    active, other = pair.write(folder / "state")
    (folder / "state" / "current").symlink_to(active)
    began = time.time()
    async with bench_worker(folder, _CAMERA) as running:
        status = await running.classified(1)
        processes = [running.pid, *children(running.pid)]
        first = datetime.fromisoformat(status["releases"][active.name]["first_classified_at"])
        whole = Cost.of(processes, first.timestamp() - began)
        own = proportional_bytes(running.pid)
        asked = time.monotonic()
        await running.client.prepare(other.name)
        seconds = time.monotonic() - asked
        engine = set(children(running.pid)) - set(processes)
        return Worker(whole, own, Cost.of(engine, seconds))
