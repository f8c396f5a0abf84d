"""Footprint: what commands, agent, worker and engine take to start, and hold then.

``python -m bench.footprint --help`` explains; docs/benchmarks.md has the figures.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import TypeVar

from rich.console import Console

from bench.footprints import bare, daemons
from bench.footprints.starting import Cost, ended, waiting
from bench.report import Goal, Row, run
from bench.support.releases import Pair, demo_pair
from demo.cloud_process import CloudProcess
from demo.stage import EDGEFERRY, Device

_DESCRIPTION = """\
Start `edgeferry --help`, `edgeferry status`, the agent (until it has connected to a local cloud on
this machine), the worker (until its first classified picture) and an engine: seconds, processor
time and memory of each, beside a Python that does nothing, or one that classifies a picture by the
same model and has nothing else in it."""

_EPILOG = """\
Everything is started once before it counts, so that its files are in memory; then several times,
one after the other, and the median counts. The whole run takes about a minute, --quick half of
one. Leave the machine alone meanwhile."""

MB = 1e6
GOALS: dict[tuple[str, str], Goal] = {}
_PEAK = "the most that was resident; otherwise the proportional set"
_IN_C = "the original in C, not run here: connected after 0.015 s, at most 7.5 MB resident"
_PARTS = "worker, camera process and engine; the worker's own process has {:.0f} MB of it"

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """How often everything is started, and the models that are served.

    The first starts read files for the others: so many don't count.
    """

    starts: int
    pair: Pair
    first: int = 1


def full() -> Plan:
    """Many times."""
    return Plan(10, demo_pair())


def quick() -> Plan:
    """A few times."""
    return Plan(3, demo_pair())


async def measure(plan: Plan, folder: Path, console: Console) -> list[Row]:
    """Start everything; daemons keep their files in ``folder``."""
    console.print("[dim]commands and agent[/]")
    rows = await _commands_and_agent(plan, folder)
    console.print("[dim]worker and engine[/]")
    return [*rows, *await _worker_and_engine(plan, folder)]


async def _commands_and_agent(plan: Plan, folder: Path) -> list[Row]:
    nothing = await _median(plan, lambda: ended(sys.executable, "-c", bare.NOTHING))
    idle = await _median(plan, lambda: waiting(bare.WAITING))
    usage = await _median(plan, lambda: ended(*EDGEFERRY, "--help"))
    async with _enrolled(folder) as device:
        agents = await _times(plan, lambda: daemons.agent(device))
        # With the agent stopped; what it left in the journal is the same every time.
        asking = (*EDGEFERRY, "status", "--config", str(device.config))
        status = await _median(plan, lambda: ended(*asking))
    ready = median(agent.ready for agent in agents)
    connected = Cost.median([agent.connected for agent in agents])
    return [
        *_rows("edgeferry --help", "time", usage, nothing, _PEAK),
        *_rows("edgeferry status", "time", status, nothing, _PEAK),
        _row("agent", "time until ready", "s", ready, idle.seconds),
        *_rows("agent", "time until connected", connected, idle, _IN_C),
    ]


@asynccontextmanager
async def _enrolled(folder: Path) -> AsyncIterator[Device]:
    """A device of a local cloud that runs."""
    cloud = CloudProcess(folder / "cloud", rate_limit=0)
    address = cloud.start()
    try:
        yield daemons.enrolled(folder / "agent", address)
    finally:
        cloud.process.stop()


async def _worker_and_engine(plan: Plan, folder: Path) -> list[Row]:
    model = folder / "model.tflite"
    model.write_bytes(plan.pair.models[0])
    alone = await _median(plan, lambda: waiting(bare.CLASSIFYING, str(model)))
    folders = (folder / f"worker-{number}" for number in count())
    workers = await _times(plan, lambda: daemons.worker(next(folders), plan.pair))
    whole = Cost.median([worker.whole for worker in workers])
    engine = Cost.median([worker.engine for worker in workers])
    own = median(worker.own for worker in workers)
    return [
        *_rows("worker", "time until it classifies", whole, alone, _PARTS.format(own / MB)),
        *_rows("engine", "time until warm", engine, alone),
    ]


async def _times(plan: Plan, start: Callable[[], Awaitable[T]]) -> list[T]:
    return [await start() for _ in range(plan.first + plan.starts)][plan.first :]


async def _median(plan: Plan, start: Callable[[], Awaitable[Cost]]) -> Cost:
    return Cost.median(await _times(plan, start))


def _rows(case: str, time: str, ours: Cost, baseline: Cost, memory_note: str = "") -> list[Row]:
    return [
        _row(case, time, "s", ours.seconds, baseline.seconds),
        _row(case, "processor time", "s", ours.cpu_seconds, baseline.cpu_seconds),
        _row(case, "memory", "MB", ours.memory / MB, baseline.memory / MB, memory_note),
    ]


def _row(case: str, metric: str, unit: str, ours: float, baseline: float, note: str = "") -> Row:
    return Row(case, metric, unit, ours, baseline, GOALS.get((case, metric)), note=note)


def main() -> None:
    """Measure as the command line says."""
    run(_DESCRIPTION, _EPILOG, full=full, quick=quick, measure=measure)


if __name__ == "__main__":
    main()
