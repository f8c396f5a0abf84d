"""Runs a worker in the test's own event loop; its engines are real processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.samples.settings import SampleSettings
from agent.worker.main import run_worker
from agent.worker.settings import WorkerSettings
from tests.support.tiny_models import TinyModel
from tests.support.worker_client import WorkerClient, write_release


@dataclass
class RunningWorker:
    """A worker, a client of it that has subscribed, and the folder it serves from."""

    state_dir: Path
    client: WorkerClient

    async def prepare(self, release: str, model: TinyModel | bytes | None = None) -> dict[str, Any]:
        """Write the release if it is a new one, and prepare it."""
        folder = self.state_dir / "releases" / release
        if not folder.exists():
            write_release(self.state_dir, release, model or TinyModel())
        return await self.client.call("prepare", release=release, folder=str(folder))

    async def serve(self, release: str, model: TinyModel | bytes | None = None) -> dict[str, Any]:
        """Prepare and commit; returns the commit's answer."""
        await self.prepare(release, model)
        return await self.client.call("commit", release=release)

    async def classified(self, count: int) -> dict[str, Any]:
        """The status once the active release has classified that many frames."""

        def enough(status: dict[str, Any]) -> bool:
            serving = status["releases"].get(status["release"], {"classified": 0})
            return bool(serving["classified"] >= count)

        return await self.client.until(enough)


@asynccontextmanager
async def running_worker(
    state_dir: Path,
    samples: SampleSettings | None = None,
    reserve_bytes: int = 0,
    **settings: Any,
) -> AsyncIterator[RunningWorker]:
    """A worker over drawn pictures unless the settings say otherwise; stopped at the end.

    Whatever the test did with it, its counters must balance then.
    """
    stop = asyncio.Event()
    configured = WorkerSettings(**{"source": "synthetic:", **settings})
    worker = asyncio.create_task(
        run_worker(configured, state_dir, samples=samples, reserve_bytes=reserve_bytes, stop=stop)
    )
    connecting = asyncio.create_task(WorkerClient.connect(configured.socket_path(state_dir)))
    await asyncio.wait([worker, connecting], return_when=asyncio.FIRST_COMPLETED)
    if worker.done():
        connecting.cancel()
        worker.result()
    client = await connecting
    try:
        await client.call("subscribe")
        yield RunningWorker(state_dir, client)
        assert_balanced(await client.call("status"))
    finally:
        await client.close()
        stop.set()
        await worker


def engine_pids() -> set[int]:
    """Engine processes of the workers that this process runs."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return {child for child, command in commands.items() if b"engine_process" in command}


def assert_balanced(status: dict[str, Any]) -> None:
    """Every frame that was captured is accounted for, in total and for each release."""
    assert status["captured"] == status["classified"] + status["dropped"]
    assert status["frames"] == status["captured"] + status["in_flight"] + status["unserved"]
    for tally in status["releases"].values():
        assert tally["captured"] == tally["classified"] + tally["dropped"]
