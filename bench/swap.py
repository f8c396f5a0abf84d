"""Swaps: ours beside the original's reload in the frame loop, under a camera of 30 pictures/s.

``python -m bench.swap --help`` explains; docs/benchmarks.md has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from bench.report import Goal, Row, run
from bench.support.busy import burners
from bench.support.metronome import metronome
from bench.support.releases import Pair, demo_pair, large_pair
from bench.swaps.figures import OurSwapping, Scale, Swapping
from bench.swaps.original import swapped_by_the_original
from bench.swaps.ours import gone_back_by_us, swapped_by_us

_DESCRIPTION = """\
Alternate two models while a camera gives 30 pictures/s, by two methods: the original's (the frame
loop loads the new model itself when signalled) and ours (the worker of `edgeferry worker` loads and
warms it in a process of its own beside the old one, then switches between two frames)."""

_EPILOG = """\
Both have the same camera, one after the other. After each swap of ours comes as long without one. A
busy machine has a process on every core that only computes. Goals are about ours. The whole run
takes about 35 minutes, --quick about two. Leave the machine alone meanwhile."""

DRAWN = "synthetic:"


@dataclass(frozen=True)
class Case:
    """What is swapped, with which runtime, on what kind of machine, and how often."""

    pair: Pair
    runtime: str
    busy: bool
    scale: Scale

    @property
    def name(self) -> str:
        """As the table has it."""
        size = f"{self.pair.size / 1e6:.1f}MB"
        machine = "busy" if self.busy else "idle"
        return f"swap runtime={self.runtime} size={size} machine={machine}"


GOALS = {
    "frames dropped": Goal("ours", 0, ceiling=True),
    "largest gap, in steady p99s": Goal("ours", 1.5, ceiling=True),
}
_OFTEN = Scale(swaps=100, pause_seconds=0.2, steady_seconds=10)
_QUICK = Scale(swaps=10, pause_seconds=0.3, steady_seconds=5)


def full() -> list[Case]:
    """At least 100 swaps of each model, on an idle machine and on a busy one."""
    pairs = demo_pair(), large_pair()
    return [
        *(Case(pair, "ai-edge-litert", busy=False, scale=_OFTEN) for pair in pairs),
        *(Case(pair, "ai-edge-litert", busy=True, scale=_OFTEN) for pair in pairs),
    ]


def quick() -> list[Case]:
    """The easiest and the hardest."""
    return [
        Case(demo_pair(), "ai-edge-litert", busy=False, scale=_QUICK),
        Case(large_pair(), "ai-edge-litert", busy=True, scale=_QUICK),
    ]


async def measure(cases: Sequence[Case], folder: Path, console: Console) -> list[Row]:
    """Run everything; workers keep their files in ``folder``."""
    rows: list[Row] = []
    for number, case in enumerate(cases):
        console.print(f"[dim]{case.name}: {case.scale.swaps} swaps each[/]", highlight=False)
        rows += await _compare(case, folder / str(number))
    rows += await _go_back(cases[0], folder / "back", console)
    return [replace(row, goal=GOALS.get(row.metric)) for row in rows]


async def _compare(case: Case, folder: Path) -> Sequence[Row]:
    with ExitStack() as stack:
        if case.busy:
            stack.enter_context(burners())
        theirs = await swapped_by_the_original(
            case.pair, folder / "original", case.scale, case.runtime, DRAWN
        )
        async with metronome() as lateness:
            ours = await swapped_by_us(case.pair, folder / "ours", case.scale, case.runtime, DRAWN)
    return rows_of(case.name, ours, theirs, lateness.longest_ms)


async def _go_back(case: Case, folder: Path, console: Console) -> Sequence[Row]:
    name = f"going back {case.name.removeprefix('swap ')}"
    scale = replace(case.scale, swaps=case.scale.swaps // 2)
    console.print(f"[dim]{name}: {scale.swaps} times[/]", highlight=False)
    back = await gone_back_by_us(case.pair, folder, scale, case.runtime, DRAWN)
    return rows_of_going_back(name, back)


def rows_of_going_back(name: str, back: OurSwapping) -> Sequence[Row]:
    """The rows of going back out of watched commits."""
    swaps = f"{len(back.swap_ms)} commits and as many ways back"
    return [
        Row(name, "frames dropped", "", back.swapping.dropped, note=_frames(back, swaps)),
        Row(name, "largest gap", "ms", back.swapping.largest_gap, note=_gaps(back)),
        Row(name, "largest gap, in steady p99s", "", back.unsteadiness),
        *_keeping(name, back),
        Row(name, "swap time", "ms", back.swap_time, note=_longest(back)),
    ]


def rows_of(name: str, ours: OurSwapping, theirs: Swapping, late_ms: float) -> Sequence[Row]:
    """The rows of one case; a process that only waited beside ours was once that late."""
    swaps = f"{len(ours.swap_ms)} swaps"
    frames = f"{_frames(ours, swaps)}; the original's {_frames(theirs, swaps)}"
    late = f"a process that only waits was woken up to {late_ms:.0f} ms late meanwhile"
    gaps = f"{_gaps(ours)}, the original's {theirs.steady_p99:.1f} ms; {late}"
    longest = f"{_longest(ours)}, the original's {max(theirs.swap_ms):.0f} ms"
    mine, other = ours.swapping, theirs.swapping
    return [
        Row(name, "frames dropped", "", mine.dropped, other.dropped, note=frames),
        Row(name, "largest gap", "ms", mine.largest_gap, other.largest_gap, note=gaps),
        Row(name, "largest gap, in steady p99s", "", ours.unsteadiness, theirs.unsteadiness),
        *_keeping(name, ours),
        Row(name, "swap time", "ms", ours.swap_time, theirs.swap_time, note=longest),
    ]


def _keeping(name: str, ours: OurSwapping) -> Sequence[Row]:
    kept = ours.keeping
    frames = f"of {kept.captured:,} frames"
    return [
        Row(name, "dropped in as long without swaps", "", kept.dropped, note=frames),
        Row(name, "largest gap in as long without swaps", "ms", kept.largest_gap),
    ]


def _frames(run: Swapping, swaps: str) -> str:
    return f"of {run.swapping.captured:,} frames in {swaps}"


def _gaps(run: Swapping) -> str:
    return f"steady p99: {run.steady_p99:.1f} ms"


def _longest(run: Swapping) -> str:
    return f"longest {max(run.swap_ms):.0f} ms"


def main() -> None:
    """Measure as the command line says."""
    run(_DESCRIPTION, _EPILOG, full=full, quick=quick, measure=measure)


if __name__ == "__main__":
    main()
