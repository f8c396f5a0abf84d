"""How long downloads take: on links without a limit, with a rate, shared, and with Golioth's limit.

Lock-step runs over lossy links wait for time-outs nearly all the time, so they run at once, beside
the downloads that a limit of 20 requests/s keeps slow. All others run one after the other, on an
otherwise idle machine.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median

from bench.downloads.races import BLOCK, Arena, LockStep, Ours, finished
from bench.link import Conditions, link_to
from bench.report import Row
from bench.support.cloud import Target

SMALL, LARGE = 419_192, 4 << 20
LIMIT = 20.0
ORIGINAL_ON_LOOPBACK = 0.013
"""Seconds the original took for 419,192 bytes on loopback, C on both ends, without a proxy."""

_MEGABIT = 1_000_000


@dataclass(frozen=True)
class Scale:
    """How much to measure: repetitions of ours, seeds and seconds of each lock-step run."""

    repetitions: int
    seeds: int
    seconds: float
    lossy_seconds: float


@dataclass(frozen=True)
class Road:
    """A kind of link."""

    name: str
    conditions: Conditions | None

    @property
    def lossy(self) -> bool:
        """Whether it takes many blocks to know how fast it is."""
        return self.conditions is not None and self.conditions.up.loss > 0

    @property
    def bits_per_second(self) -> float | None:
        """Its rate."""
        return self.conditions.down.bits_per_second if self.conditions else None


def road(milliseconds: int, loss: float = 0.0, megabits: float | None = None) -> Road:
    """A link by its round trip, its loss each way, and its rate."""
    rate = f" rate={megabits:g}Mbit/s" if megabits else ""
    return Road(
        f"rtt={milliseconds}ms loss={f'{loss:.0%}' if loss else 0}{rate}",
        Conditions.both_ways(
            milliseconds / 1000,
            loss=loss,
            bits_per_second=megabits * _MEGABIT if megabits else None,
        ),
    )


LOOPBACK = Road("loopback", None)
ROADS = (
    *(road(milliseconds) for milliseconds in (20, 50, 100, 200)),
    *(road(50, loss) for loss in (0.01, 0.05)),
    *(road(100, megabits=megabits) for megabits in (10, 1)),
)
LIMITED_ROADS = (road(50), road(200, 0.01), road(500), road(500, 0.05))


def case(name: str, size: int) -> str:
    """How a row is called."""
    for unit, name_of_unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size % unit == 0:
            return f"{name} size={size // unit}{name_of_unit}"
    return f"{name} size={size}B"


async def lock_step(arena: Arena, target: Target, on: Road, scale: Scale) -> list[LockStep]:
    """The original's method, with several seeds at once where luck plays a part."""
    budget = scale.lossy_seconds if on.lossy else scale.seconds
    seeds = range(1, 1 + (scale.seeds if on.lossy else 1))
    runs = (arena.lock_step(target, on.conditions, seed, budget=budget) for seed in seeds)
    return list(await asyncio.gather(*runs))


async def ours(arena: Arena, target: Target, on: Road, repetitions: int) -> list[Ours]:
    """Ours, one after the other."""
    runs = []
    for seed in range(1, 1 + repetitions):
        run = await arena.ours(target, on.conditions, seed)
        arena.say(f"ours, {case(on.name, target.size)}: {run.seconds:.2f} s")
        runs.append(run)
    return runs


def timed(on: Road, size: int, runs: list[Ours], baselines: list[LockStep]) -> list[Row]:
    """Time, and on links with a rate the share of it that is the file's bytes."""
    seconds = median(run.seconds for run in runs)
    baseline = median(run.seconds for run in baselines)
    name = case(on.name, size)
    note = _spread([run.seconds for run in runs], next((b.note for b in baselines if b.note), ""))
    rows = [Row(name, "time", "s", seconds, baseline, note=note)]
    if on.bits_per_second:
        share = 100 * 8 * size / on.bits_per_second
        overflow = max(run.link.down.overflowed for run in runs if run.link)
        queue = max(run.link.down.queue_delay_max for run in runs if run.link)
        note = f"longest queue {1000 * queue:.0f} ms, {overflow} datagrams dropped by it"
        rows.append(
            Row(name, "goodput, share of the rate", "%", share / seconds, share / baseline,
                more_is_better=True, note=note)
        )  # fmt: skip
    return rows


def processor(size: int, runs: list[Ours]) -> list[Row]:
    """What a download costs the processors at both ends."""
    per_mebibyte = size / (1 << 20)
    agent = median(run.cpu_seconds for run in runs) / per_mebibyte
    cloud = median(run.cloud_cpu_seconds for run in runs) / per_mebibyte
    name = case(LOOPBACK.name, size)
    return [
        Row(name, "agent CPU time per MiB", "s", agent),
        Row(name, "local cloud CPU time per MiB", "s", cloud),
    ]


def beside_the_original(size: int, runs: list[Ours]) -> Row:
    """Python on loopback beside C, as it was measured for the reference."""
    seconds = median(run.seconds for run in runs)
    note = "baseline: the original in C, 12-14 ms direct (34 ms through a proxy), not run here"
    return Row(
        case(LOOPBACK.name, size), "time beside C", "s", seconds, ORIGINAL_ON_LOOPBACK, note=note
    )


def _spread(seconds: list[float], note: str) -> str:
    parts = [f"ours {min(seconds):.2f}-{max(seconds):.2f} s"] if len(seconds) > 1 else []
    return "; ".join([*parts, *([note] if note else [])])


# With the limit of Golioth.


async def limited(arena: Arena, target: Target, on: Road, scale: Scale) -> list[Row]:
    """What 20 requests/s can bring on this link, and how much of that comes."""
    assert on.conditions is not None
    run, (baseline, *_) = await asyncio.gather(
        arena.ours(target, on.conditions, requests_per_second=LIMIT),
        lock_step(arena, target, on, scale),
    )
    arrives = (1 - on.conditions.up.loss) * (1 - on.conditions.down.loss)
    best = target.size / BLOCK / (LIMIT * arrives)
    name = f"limit=20/s {case(on.name, target.size)}"
    arena.say(f"ours, {name}: {run.seconds:.1f} s")
    return [
        Row(name, "share of the ceiling", "%", 100 * best / run.seconds,
            100 * best / baseline.seconds, more_is_better=True,
            note=f"{target.size / BLOCK / run.seconds:.1f} KiB/s; {baseline.note}".rstrip("; ")),
        Row(name, "4.29 answers", "", float(run.refusals)),
    ]  # fmt: skip


# Two devices on one link.


async def shared(arena: Arena, target: Target) -> list[Row]:
    """Who gets how much of 1 Mbit/s while both download, and the queue they build."""
    on = road(100, megabits=1)
    assert on.conditions is not None
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(link_to(arena.cloud.coap, on.conditions))
        devices = [
            await stack.enter_async_context(arena.device(target, link.address)) for _ in range(2)
        ]
        before = (await link.statistics()).clients
        for device in devices:
            await device.tell()
        runs = [asyncio.ensure_future(finished(device)) for device in devices]
        await asyncio.wait(runs, return_when=asyncio.FIRST_COMPLETED)
        statistics = await link.statistics()
        await asyncio.gather(*runs)
    received = [down - before[name][1] for name, (_, down) in statistics.clients.items()]
    name = f"devices=2 {case(on.name, target.size)}"
    arena.say(f"{name}: {received[0]:,} and {received[1]:,} bytes")
    queue = statistics.down
    return [
        Row(name, "smaller share", "%", 100 * min(received) / sum(received)),
        Row(name, "longest queue", "ms", 1000 * queue.queue_delay_max,
            note=f"95 % of datagrams wait at most {1000 * queue.queue_delay_p95:.0f} ms"),
    ]  # fmt: skip
