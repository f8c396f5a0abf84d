"""Drives our method: the worker loads the new model beside the old, then switches.

Also the way back: while a commit is watched, the model before is still warm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from itertools import cycle
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from bench.support.releases import Pair
from bench.support.worker import BenchWorker, bench_worker
from bench.swaps.figures import OurSwapping, Scale, Stretch

# More than come between two looks, few enough that the worker doesn't feel the question.
_RESULTS = 100
_LOOK_SECONDS = 1.0

T = TypeVar("T")
Releases: TypeAlias = tuple[Path, Path]


async def swapped_by_us(
    pair: Pair, folder: Path, scale: Scale, runtime: str, source: str
) -> OurSwapping:
    """Alternate two models of a real worker."""
    turns = cycle((1, 0))

    async def swap(worker: BenchWorker, results: Results, pair: Releases) -> float:
        took = await results.during(_swap(worker, pair[next(turns)]))
        await results.watch(scale.pause_seconds)
        return took

    return await _measured(pair, folder, scale, runtime, source, swap)


async def gone_back_by_us(
    pair: Pair, folder: Path, scale: Scale, runtime: str, source: str
) -> OurSwapping:
    """Commit the second model, watched, and go back to the first, again and again.

    Times are those of the way back; gaps and drops are of both ways.
    """

    async def go_back(worker: BenchWorker, results: Results, pair: Releases) -> float:
        first, second = pair
        await results.during(worker.serve(second, watch=True))
        await results.watch(scale.pause_seconds)
        took = await results.during(_swap(worker, first))
        await results.watch(scale.pause_seconds)
        return took

    return await _measured(pair, folder, scale, runtime, source, go_back)


async def _measured(
    pair: Pair, folder: Path, scale: Scale, runtime: str, source: str, swap: Swap
) -> OurSwapping:
    settings = {
        "source": source,
        "frames_per_second": scale.frames_per_second,
        "runtime": runtime,
    }
    async with bench_worker(folder, settings) as worker:
        releases = pair.write(worker.device.state_dir)
        await worker.serve(releases[0])
        await worker.classified(2)
        results = Results(worker)
        await results.stretch()
        await results.watch(scale.steady_seconds)
        steady, times = await results.stretch(), []
        swapping, keeping = [], []
        for _ in range(scale.swaps):
            began = time.monotonic()
            times.append(await swap(worker, results, releases))
            swapping.append(await results.stretch())
            await results.watch(time.monotonic() - began)
            keeping.append(await results.stretch())
    return OurSwapping(steady, Stretch.of(swapping), times, Stretch.of(keeping))


async def _swap(worker: BenchWorker, release: Path) -> float:
    """Milliseconds from the order to prepare until the commit has seen its first picture."""
    began = time.monotonic()
    await worker.serve(release)
    return (time.monotonic() - began) * 1e3


class Results:
    """Collects every result of a worker, a few at a time."""

    def __init__(self, worker: BenchWorker) -> None:
        self._worker = worker
        self._gaps: dict[int, float] = {}
        self._last = -1
        self._counted = (0, 0)

    async def watch(self, seconds: float) -> None:
        """Let so much time pass."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _LOOK_SECONDS))
            await self._look()

    async def during(self, swap: Coroutine[Any, Any, T]) -> T:
        """Let a swap happen, however long it takes."""
        swapping = asyncio.create_task(swap)
        while not swapping.done():
            await asyncio.wait([swapping], timeout=_LOOK_SECONDS)
            await self._look()
        return swapping.result()

    async def stretch(self) -> Stretch:
        """What came since the last time."""
        await self._look()
        gaps, self._gaps = list(self._gaps.values()), {}
        status = await self._worker.client.status()
        counted = status["captured"], status["dropped"]
        captured, dropped = (
            now - before for now, before in zip(counted, self._counted, strict=True)
        )
        self._counted = counted
        return Stretch(gaps, captured, dropped)

    async def _look(self) -> None:
        results: list[dict[str, Any]] = (await self._worker.client.results(_RESULTS))["results"]
        for result in results:
            if result["frame"] > self._last and result["gap_ms"] is not None:
                self._gaps[result["frame"]] = result["gap_ms"]
        self._last = max([self._last, *(result["frame"] for result in results)])


Swap: TypeAlias = Callable[[BenchWorker, Results, Releases], Awaitable[float]]
