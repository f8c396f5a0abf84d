"""Downloads: ours beside the original's method, over links as bad as real ones.

``python -m bench.download --help`` explains; docs/benchmarks.md has the figures.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from bench.downloads.races import Arena
from bench.downloads.speed import (
    LARGE,
    LIMIT,
    LIMITED_ROADS,
    LOOPBACK,
    ROADS,
    SMALL,
    Road,
    Scale,
    beside_the_original,
    case,
    limited,
    lock_step,
    ours,
    processor,
    road,
    shared,
    timed,
)
from bench.downloads.thrift import journal, patched, resume
from bench.report import Goal, Row, run
from bench.support.cloud import Target, bench_cloud

_DESCRIPTION = """\
Download models from a local cloud over a link that delays, loses and queues datagrams, by two
methods: the original's (one confirmable block request at a time) and ours (the agent's own
session, downloader, store and journal). Device, cloud and link are processes of their own."""

_EPILOG = """\
Lock-step runs that would take minutes are cut off and scaled by their blocks; the note says so.
A goal is about ours, or about the ratio where it ends with an x. The whole run takes about 10
minutes, --quick about 2. Leave the machine alone meanwhile."""


@dataclass(frozen=True)
class Plan:
    """What a run measures; sizes are in bytes."""

    scale: Scale
    roads: tuple[Road, ...]
    sizes: tuple[int, ...]
    limited_roads: tuple[Road, ...]
    limited_sizes: tuple[int, ...]
    shared_size: int
    kills: int


FULL = Plan(
    Scale(repetitions=3, seeds=3, seconds=8, lossy_seconds=120),
    roads=ROADS,
    sizes=(SMALL, LARGE),
    limited_roads=LIMITED_ROADS,
    limited_sizes=(SMALL, 2 << 20),
    shared_size=2 << 20,
    kills=20,
)
QUICK = Plan(
    Scale(repetitions=1, seeds=1, seconds=5, lossy_seconds=40),
    roads=(road(100), road(50, 0.01), road(100, megabits=10)),
    sizes=(LARGE,),
    limited_roads=(road(500, 0.05),),
    limited_sizes=(SMALL,),
    shared_size=512 << 10,
    kills=5,
)

GOALS = {
    **{
        (case(road(milliseconds).name, LARGE), "time"): Goal("ratio", times)
        for milliseconds, times in ((20, 30), (50, 60), (100, 100), (200, 150))
    },
    (case(road(50, 0.01).name, LARGE), "time"): Goal("ratio", 60),
    (case(road(50, 0.05).name, LARGE), "time"): Goal("ratio", 60),
    (case(road(100, megabits=10).name, LARGE), "goodput, share of the rate"): Goal("ours", 80),
    (case(road(100, megabits=1).name, LARGE), "goodput, share of the rate"): Goal("ours", 90),
}
"""What the rows of one case should reach; the rest is by metric."""

GOALS_BY_METRIC = {
    "smaller share": Goal("ours", 30),
    "longest queue": Goal("ours", 200, ceiling=True),
    "share of the ceiling": Goal("ours", 95),
    "4.29 answers": Goal("ours", 0, ceiling=True),
    "journal bytes per byte": Goal("ours", 0.1, ceiling=True),
    "fetched again at most": Goal("ours", 64, ceiling=True),
    "share of the full file": Goal("ours", 10, ceiling=True),
}


async def measure(plan: Plan, folder: Path, console: Console) -> list[Row]:
    """Run everything; clouds and devices keep their files in ``folder``."""
    with ExitStack() as stack:
        clouds = [
            stack.enter_context(bench_cloud(folder / f"cloud-{limit:g}", limit))
            for limit in (0.0, LIMIT)
        ]
        free, golioth = (Arena(cloud, folder, console) for cloud in clouds)
        targets = [await _publish(free, size) for size in plan.sizes]
        limited_targets = [await _publish(golioth, size) for size in plan.limited_sizes]

        free.say("lock-step on lossy links at once, beside downloads at 20 requests/s")
        races = [(on, target) for target in targets for on in plan.roads]
        lossy = [(on, target) for on, target in races if on.lossy]
        slow = [(on, target) for target in limited_targets for on in plan.limited_roads]
        found, limited_rows = await asyncio.gather(
            asyncio.gather(*(lock_step(free, target, on, plan.scale) for on, target in lossy)),
            asyncio.gather(*(limited(golioth, target, on, plan.scale) for on, target in slow)),
        )
        baselines = dict(zip(lossy, found, strict=True))
        rows = []
        for on, target in races:
            baseline = baselines.get((on, target)) or await lock_step(free, target, on, plan.scale)
            runs = await ours(free, target, on, plan.scale.repetitions)
            rows += timed(on, target.size, runs, baseline)
        rows += [row for pair in limited_rows for row in pair]
        rows += await shared(free, await _publish(free, plan.shared_size))
        for target in targets:
            rows += await _on_loopback(free, target, plan.scale)
        rows += await resume(free, targets[-1], plan.kills)
        rows += await patched(free)
    return [replace(row, goal=_goal(row)) for row in rows]


async def _publish(arena: Arena, size: int) -> Target:
    return await asyncio.to_thread(arena.cloud.publish, size)


async def _on_loopback(arena: Arena, target: Target, scale: Scale) -> list[Row]:
    baseline = await lock_step(arena, target, LOOPBACK, scale)
    runs = await ours(arena, target, LOOPBACK, scale.repetitions)
    rows = [
        *timed(LOOPBACK, target.size, runs, baseline),
        *processor(target.size, runs),
        journal(target.size, runs),
    ]
    return [*rows, beside_the_original(target.size, runs)] if target.size == SMALL else rows


def _goal(row: Row) -> Goal | None:
    return GOALS.get((row.case, row.metric)) or GOALS_BY_METRIC.get(row.metric)


def main() -> None:
    """Measure as the command line says."""
    run(_DESCRIPTION, _EPILOG, full=lambda: FULL, quick=lambda: QUICK, measure=measure)


if __name__ == "__main__":
    main()
