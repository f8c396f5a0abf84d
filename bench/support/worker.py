"""The real worker as a process, as ``edgeferry worker`` starts it, and its control socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.worker_port.client import WorkerClient
from demo.stage import Device
from states.ports import Postponed

_PATIENCE = 60.0


class WorkerSilent(Exception):  # noqa: N818 - reads as what happened
    """The worker did not come to what it was started for; holds the end of its log."""


@dataclass
class BenchWorker:
    """A worker over a folder of its own."""

    device: Device
    client: WorkerClient

    @property
    def pid(self) -> int:
        """Process id."""
        return self.device.worker.pid

    async def serve(self, release: Path, *, watch: bool = False) -> None:
        """Prepare a release's folder and commit it; ``watch`` keeps the one before warm."""
        await self.client.prepare(release.name)
        await self.client.commit(release.name, watch)

    async def classified(self, count: int) -> dict[str, Any]:
        """The status once the active release has classified so many frames."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                status = await self.client.status()
                if _classified(status) >= count:
                    return status
                await asyncio.sleep(0.05)

    async def _listens(self) -> None:
        for _ in range(int(_PATIENCE / 0.05)):
            try:
                await self.client.status()
            except Postponed:
                if not self.device.worker.running:
                    break
                await asyncio.sleep(0.05)
            else:
                return
        raise WorkerSilent(f"the worker did not start\n{self.device.log_tail()}")


@asynccontextmanager
async def bench_worker(
    folder: Path, settings: dict[str, object], **tables: dict[str, object]
) -> AsyncIterator[BenchWorker]:
    """A worker with these keys of the ``[worker]`` table and of tables below it.

    It is stopped at the end.
    """
    device = Device(folder)
    below = {f"worker.{name}": keys for name, keys in tables.items()}
    device.configure({"worker": settings, **below})
    device.start("worker")
    socket, releases = device.state_dir / "worker.sock", device.state_dir / "releases"
    worker = BenchWorker(device, WorkerClient(socket, releases, load_seconds=_PATIENCE))
    try:
        await worker._listens()
        yield worker
    finally:
        device.stop()


def _classified(status: dict[str, Any]) -> int:
    return int(status["releases"].get(status["release"], {"classified": 0})["classified"])
