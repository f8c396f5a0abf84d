"""Frames a second when more come than can be classified."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from statistics import mean, median

from bench.inferring.subject import Scale, Subject, bare_times
from bench.report import Row
from bench.support.child import Child

_FASTEST = 1000.0
_MORE_THAN_ENOUGH = 1.15
_WARM_FRAMES = 20


async def throughput(subject: Subject, folder: Path, scale: Scale) -> list[Row]:
    """In turns, never both at once, each turn of the worker between two of the bare loop.

    What the machine gives changes from minute to minute by more than the worker costs, so each turn
    is compared with its neighbours.
    """
    ours, bare, shares = [], [], []
    async with subject.bare_loop(folder / "bare", scale.turn_seconds, 0) as loop:
        bare.append(await _bare_speed(loop, scale.turn_seconds))
        for turn in range(scale.turns):
            # Many more frames than that would only take the processor from those classified.
            offered = min(_FASTEST, _MORE_THAN_ENOUGH * bare[-1])
            own = folder / f"ours-{turn}"
            ours.append(await _worker_speed(subject, own, offered, scale.turn_seconds))
            bare.append(await _bare_speed(loop, scale.turn_seconds))
            shares.append(100 * ours[-1] / mean(bare[-2:]))
    name = f"full speed {subject.name}"
    spread = f"ours {min(ours):.0f} to {max(ours):.0f}/s, bare {min(bare):.0f} to {max(bare):.0f}/s"
    turns = f"{len(shares)} turns, {min(shares):.0f} to {max(shares):.0f} %"
    return [
        Row(name, "frames", "1/s", median(ours), median(bare), more_is_better=True, note=spread),
        Row(name, "share of the bare loop", "%", median(shares), note=turns),
    ]


async def _worker_speed(subject: Subject, folder: Path, offered: float, seconds: float) -> float:
    async with subject.worker(folder, offered) as worker:
        release, _ = subject.pair.write(worker.device.state_dir)
        await worker.serve(release)
        before, began = await worker.classified(_WARM_FRAMES), time.monotonic()
        await asyncio.sleep(seconds)
        after, ended = await worker.client.status(), time.monotonic()
    return float(after["classified"] - before["classified"]) / (ended - began)


async def _bare_speed(loop: Child, seconds: float) -> float:
    return len(await bare_times(loop)) / seconds
