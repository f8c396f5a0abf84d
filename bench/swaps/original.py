"""Drives the original's method: change the link, send SIGUSR1, wait for the first new picture."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from itertools import cycle, islice
from pathlib import Path

from bench.support.child import Child, Told, child
from bench.support.releases import Pair
from bench.swaps.figures import Scale, Stretch, Swapping

_RELOADING = "bench.swaps.reloading"
_READY_SECONDS = 30.0
_SWAP_SECONDS = 60.0


async def swapped_by_the_original(
    pair: Pair, folder: Path, scale: Scale, runtime: str, source: str
) -> Swapping:
    """Alternate two models, each loaded in the frame loop."""
    first, second = pair.write(folder)
    served = folder / "models"
    served.symlink_to(first)
    order = {
        "folder": str(served),
        "source": source,
        "frames_per_second": scale.frames_per_second,
        "runtime": runtime,
    }
    async with child(_RELOADING, order) as loop:
        await loop.greet(_READY_SECONDS)
        await _figures(loop)
        await asyncio.sleep(scale.steady_seconds)
        steady = await _figures(loop)
        times = []
        for release in islice(cycle((second, first)), scale.swaps):
            times.append(await _swap(loop, served, release))
            await asyncio.sleep(scale.pause_seconds)
        swapping = await _figures(loop)
    before = steady["captured"]
    return Swapping(
        Stretch(steady["gaps"], before, steady["dropped"]),
        Stretch(swapping["gaps"], swapping["captured"] - before, swapping["dropped"]),
        times,
    )


async def _figures(loop: Child) -> Told:
    await loop.tell()
    return await loop.hear("figures")


async def _swap(loop: Child, served: Path, release: Path) -> float:
    """Milliseconds from the signal to the first picture."""
    new = served.with_name("models.new")
    new.symlink_to(release)
    new.replace(served)
    sent = time.monotonic()
    os.kill(loop.pid, signal.SIGUSR1)
    async with asyncio.timeout(_SWAP_SECONDS):
        reloaded = await loop.hear("reloaded")
    return float(reloaded["at"] - sent) * 1e3
