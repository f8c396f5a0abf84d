"""What classifies: a model on a runtime, in a worker or in a bare loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.support.child import Child, child
from bench.support.releases import Pair
from bench.support.worker import BenchWorker, bench_worker

MB = 1e6
CAMERA_FRAMES_PER_SECOND = 30.0
_BARE = "bench.inferring.bare"
_READY_SECONDS = 30.0


@dataclass(frozen=True)
class Scale:
    """``turns`` of so many seconds at full speed, the seconds of all else, pictures prepared."""

    turns: int
    turn_seconds: float
    seconds: float
    prepared: int


@dataclass(frozen=True)
class Subject:
    """A model (and one to take its place) and the runtime."""

    pair: Pair
    runtime: str

    @property
    def name(self) -> str:
        """As the table has it."""
        return f"runtime={self.runtime} size={self.pair.size / MB:.1f}MB"

    def worker(
        self, folder: Path, frames_per_second: float, **tables: dict[str, object]
    ) -> AbstractAsyncContextManager[BenchWorker]:
        """A worker with a drawn camera of so many frames a second; it serves nothing yet.

        ``tables`` are further ones below ``[worker]``.
        """
        settings: dict[str, object] = {
            "source": "synthetic:",
            "frames_per_second": frames_per_second,
            "runtime": self.runtime,
        }
        return bench_worker(folder, settings, **tables)

    @asynccontextmanager
    async def bare_loop(
        self, folder: Path, seconds: float, frames_per_second: float
    ) -> AsyncIterator[Child]:
        """A loop that classifies for so long whenever it is told; 0 frames/s: as many as it can."""
        release, _ = self.pair.write(folder)
        order = {
            "folder": str(release),
            "runtime": self.runtime,
            "seconds": seconds,
            "frames_per_second": frames_per_second,
        }
        async with child(_BARE, order) as loop:
            await loop.greet(_READY_SECONDS)
            yield loop


async def bare_times(loop: Child) -> list[float]:
    """Milliseconds that each picture took."""
    await loop.tell()
    done = await loop.hear("done")
    return list(done["times"])
