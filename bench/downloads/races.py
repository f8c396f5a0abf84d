"""Downloads as they are measured: ours and the original's method, over a link, one at a time."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.link import Conditions, Link, Statistics, link_to
from bench.support.child import Child, child
from bench.support.cloud import BenchCloud, Target

BLOCK = 1024
DEVICE, LOCK_STEP = "bench.downloads.device", "bench.downloads.lockstep"

_PATIENCE = 900.0
_READY = 120.0


@dataclass(frozen=True)
class Ours:
    """Figures of one of our downloads; ``link`` is None when there was none.

    ``cloud_cpu_seconds`` counts all that the cloud did meanwhile.
    """

    seconds: float
    cpu_seconds: float
    refusals: int
    retransmissions: int
    payload_bytes: int
    received_bytes: int
    sent_bytes: int
    written_bytes: int
    postponements: int
    trouble: str
    cloud_cpu_seconds: float
    link: Statistics | None = None


@dataclass(frozen=True)
class LockStep:
    """Figures of a lock-step download, scaled to the whole file if it was not finished."""

    seconds: float
    blocks: int
    total: int
    restarts: int
    finished: bool

    @property
    def note(self) -> str:
        """How it was measured, empty if simply to the end."""
        parts = []
        if not self.finished:
            parts.append(f"lock-step timed on {self.blocks:,} of {self.total:,} blocks, scaled")
        if self.restarts:
            parts.append(f"lock-step started over {self.restarts}x")
        return "; ".join(parts)


@dataclass
class Arena:
    """Where downloads run: a cloud, a folder for state, and a terminal to show progress on."""

    cloud: BenchCloud
    folder: Path
    console: Console
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Show progress."""
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        self.console.print(f"[dim]{minutes:2}:{seconds:02}[/] {text}", highlight=False)

    def new_folder(self) -> Path:
        """An empty folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    @asynccontextmanager
    async def device(
        self,
        target: Target,
        at: tuple[str, int],
        *,
        state_dir: Path | None = None,
        credential: dict[str, str] | None = None,
        requests_per_second: float = 0.0,
    ) -> AsyncIterator[Child]:
        """A device of ours that has its manifest and waits for the word."""
        order = {
            "host": at[0],
            "port": at[1],
            **(credential or await self.credential(target)),
            "state_dir": str(state_dir or self.new_folder()),
            "sha256": target.sha256,
            "requests_per_second": requests_per_second,
        }
        async with child(DEVICE, order) as device:
            await device.greet(_READY)
            yield device

    async def credential(self, target: Target) -> dict[str, str]:
        """Who a new device is."""
        return await asyncio.to_thread(self.cloud.credential, target)

    async def ours(
        self,
        target: Target,
        conditions: Conditions | None,
        seed: int = 1,
        *,
        requests_per_second: float = 0.0,
    ) -> Ours:
        """One download of ours; without conditions it goes straight to the cloud."""
        async with AsyncExitStack() as stack:
            link = await self._enter_link(stack, conditions, seed)
            at = link.address if link else self.cloud.coap
            device = await stack.enter_async_context(
                self.device(target, at, requests_per_second=requests_per_second)
            )
            cpu = self.cloud.cpu_seconds
            await device.tell()
            figures = await finished(device)
            cpu = self.cloud.cpu_seconds - cpu
            statistics = await link.statistics() if link else None
            return Ours(**figures, cloud_cpu_seconds=cpu, link=statistics)

    async def lock_step(
        self, target: Target, conditions: Conditions | None, seed: int = 1, *, budget: float
    ) -> LockStep:
        """One download by the original's method, cut off after ``budget`` seconds."""
        async with AsyncExitStack() as stack:
            link = await self._enter_link(stack, conditions, seed)
            host, port = link.address if link else self.cloud.coap
            order = {
                "host": host,
                "port": port,
                **await self.credential(target),
                "uri": target.uri,
                "file": str(self.new_folder() / "model.tmp"),
                "budget": budget,
            }
            async with child(LOCK_STEP, order) as client:
                await client.greet(_READY)
                await client.tell()
                return _scaled(await finished(client), target)

    async def _enter_link(
        self, stack: AsyncExitStack, conditions: Conditions | None, seed: int
    ) -> Link | None:
        if conditions is None:
            return None
        return await stack.enter_async_context(link_to(self.cloud.coap, conditions, seed=seed))


async def finished(process: Child) -> dict[str, Any]:
    """The figures of a process that downloads."""
    async with asyncio.timeout(_PATIENCE):
        return await process.hear("done")


def _scaled(figures: dict[str, Any], target: Target) -> LockStep:
    """Scaled by blocks fetched: what a start over costs the original is given to it for free."""
    total = -(-target.size // BLOCK)
    seconds, blocks = figures["seconds"], figures["blocks"]
    if not figures["finished"]:
        seconds *= total / max(1, blocks)
    return LockStep(seconds, blocks, total, figures["restarts"], figures["finished"])
