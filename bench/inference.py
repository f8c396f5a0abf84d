"""Inference: the whole worker beside a bare loop, and pictures prepared as the original does it.

``python -m bench.inference --help`` explains; docs/benchmarks.md has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from bench.inferring.camera import at_camera_speed
from bench.inferring.preprocessing import preprocessing
from bench.inferring.preview import preview_cost
from bench.inferring.subject import Scale, Subject
from bench.inferring.throughput import throughput
from bench.report import Goal, Row, run
from bench.support.releases import demo_pair, large_pair

_DESCRIPTION = """\
Classify drawn pictures of 640x480 with the whole worker (camera, shared memory, engine process,
counters, control socket) and with a bare loop over the same classifier in one process: frames a
second at full speed, latency and memory at 30 frames/s, and what the worker's preview costs. And
prepare pictures for a model our way and with Pillow, as the original does."""

_EPILOG = """\
Worker and bare loop run one after the other, in turns. The whole run takes about 6 minutes, --quick
one. Leave the machine alone meanwhile."""


@dataclass(frozen=True)
class Plan:
    """What a run measures."""

    scale: Scale
    subjects: tuple[Subject, ...]


GOALS = {"share of the bare loop": Goal("ours", 90)}


def full() -> Plan:
    """Both models on both runtimes."""
    subjects = [
        Subject(pair, runtime)
        for runtime in ("ai-edge-litert", "tflite-runtime")
        for pair in (demo_pair(), large_pair())
    ]
    return Plan(Scale(turns=10, turn_seconds=2, seconds=5, prepared=300), tuple(subjects))


def quick() -> Plan:
    """Both models on the default runtime."""
    subjects = (Subject(demo_pair(), "ai-edge-litert"), Subject(large_pair(), "ai-edge-litert"))
    return Plan(Scale(turns=2, turn_seconds=2, seconds=3, prepared=50), subjects)


async def measure(plan: Plan, folder: Path, console: Console) -> list[Row]:
    """Run everything; workers keep their files in ``folder``."""
    console.print("[dim]preprocessing[/]")
    rows = preprocessing(plan.scale.prepared)
    for number, subject in enumerate(plan.subjects):
        console.print(f"[dim]{subject.name}[/]", highlight=False)
        rows += await throughput(subject, folder / f"{number}-speed", plan.scale)
        rows += await at_camera_speed(subject, folder / f"{number}-camera", plan.scale)
    rows += await preview_cost(plan.subjects[0], folder / "preview", plan.scale)
    return [replace(row, goal=GOALS.get(row.metric)) for row in rows]


def main() -> None:
    """Measure as the command line says."""
    run(_DESCRIPTION, _EPILOG, full=full, quick=quick, measure=measure)


if __name__ == "__main__":
    main()
