"""Fleets: a thousand devices on one local cloud, and what each more of them costs.

``python -m bench.fleet --help`` explains; docs/benchmarks.md has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.fleets.figures import rows_of
from bench.fleets.holding import hold
from bench.report import Row, run

_DESCRIPTION = """\
Hold fleets of simulated devices on one local cloud. Each device has a real DTLS session on a socket
of its own; all connect at once, follow the manifest, fetch what is deployed block by block at 20
requests/s, check it and report as the agent does. Then the cloud is restarted under them."""

_EPILOG = """\
The cloud is the process of `edgeferry cloud`; the devices share a few other processes. Baselines
are the run's smallest fleet times the devices: a ratio of 1 is linear growth. The whole run takes
about 4 minutes, --quick half of one. Leave the machine alone meanwhile."""


@dataclass(frozen=True)
class Plan:
    """Fleets to hold, the smallest first; the artifact's size in bytes, and the idle time."""

    fleets: tuple[int, ...]
    artifact_bytes: int
    idle_seconds: float


FULL = Plan(fleets=(100, 250, 500, 1000), artifact_bytes=64 << 10, idle_seconds=20)
QUICK = Plan(fleets=(25, 75), artifact_bytes=16 << 10, idle_seconds=2)


async def measure(plan: Plan, folder: Path, console: Console) -> list[Row]:
    """Run everything; clouds and devices keep their files in ``folder``."""
    fleets = []
    for devices in plan.fleets:
        console.print(f"[dim]{devices} devices[/]", highlight=False)
        own = folder / f"{devices}"
        fleets.append(await hold(own, devices, plan.artifact_bytes, plan.idle_seconds))
    return rows_of(fleets)


def main() -> None:
    """Measure as the command line says."""
    run(_DESCRIPTION, _EPILOG, full=lambda: FULL, quick=lambda: QUICK, measure=measure)


if __name__ == "__main__":
    main()
