"""Frames a second when more come than can be classified."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from statistics import median

from bench.inferring.subject import Scale, Subject, bare_times
from bench.report import Row

_FASTEST = 1000.0
_MORE_THAN_ENOUGH = 1.15
_WARM_FRAMES = 20


async def throughput(subject: Subject, folder: Path, scale: Scale) -> list[Row]:
    """In turns, never both at once: what else the machine does then meets both."""
    ours, bare = [], []
    for turn in range(scale.rounds):
        bare.append(await _bare_speed(subject, folder / f"bare-{turn}", scale.seconds))
        # Many more frames than that would only take the processor from those that are classified.
        offered = min(_FASTEST, _MORE_THAN_ENOUGH * bare[-1])
        ours.append(await _worker_speed(subject, folder / f"ours-{turn}", offered, scale.seconds))
    name = f"full speed {subject.name}"
    spread = f"ours {min(ours):.0f} to {max(ours):.0f}/s, bare {min(bare):.0f} to {max(bare):.0f}/s"
    share = 100 * median(ours) / median(bare)
    return [
        Row(name, "frames", "1/s", median(ours), median(bare), more_is_better=True, note=spread),
        Row(name, "share of the bare loop", "%", share),
    ]


async def _worker_speed(subject: Subject, folder: Path, offered: float, seconds: float) -> float:
    async with subject.worker(folder, offered) as worker:
        release, _ = subject.pair.write(worker.device.state_dir)
        await worker.serve(release)
        before, began = await worker.classified(_WARM_FRAMES), time.monotonic()
        await asyncio.sleep(seconds)
        after, ended = await worker.client.status(), time.monotonic()
    return float(after["classified"] - before["classified"]) / (ended - began)


async def _bare_speed(subject: Subject, folder: Path, seconds: float) -> float:
    async with subject.bare_loop(folder, seconds, 0) as loop:
        return len(await bare_times(loop)) / seconds
