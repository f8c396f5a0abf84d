"""What every benchmark does alike: its arguments, its rows and goals, the table, the JSON.

A row compares ours with a baseline measured in the same run. ``ratio`` says how many times better
ours is; a goal is about the ratio or about ours itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table

_LIBRARIES = ("aiocoap", "ai-edge-litert", "cryptography", "numpy", "pyOpenSSL")
_WIDTH = 110  # of a table that goes to a file
_ROOT = Path(__file__).parent.parent

Plan = TypeVar("Plan")


@dataclass(frozen=True)
class Goal:
    """What a row should reach: ``number`` at least, or at most if ``ceiling``."""

    about: Literal["ratio", "ours"]
    number: float
    ceiling: bool = False

    def __str__(self) -> str:
        times = "x" if self.about == "ratio" else ""
        return f"{'<=' if self.ceiling else '>='} {self.number:g}{times}"

    def met(self, row: Row) -> bool | None:
        """Whether the row reaches it; None where there is nothing to compare."""
        value = row.ratio if self.about == "ratio" else row.ours
        if value is None:
            return None
        return value <= self.number if self.ceiling else value >= self.number


@dataclass(frozen=True)
class Row:
    """One figure of ours, in ``unit``; less is better unless ``more_is_better``."""

    case: str
    metric: str
    unit: str
    ours: float
    baseline: float | None = None
    goal: Goal | None = None
    more_is_better: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than the baseline."""
        if self.baseline is None:
            return None
        better, worse = (
            (self.ours, self.baseline) if self.more_is_better else (self.baseline, self.ours)
        )
        return better / worse if worse else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        return self.goal.met(self) if self.goal else None

    def document(self) -> dict[str, Any]:
        """As the JSON has it."""
        return {
            "case": self.case,
            "metric": self.metric,
            "unit": self.unit,
            "ours": self.ours,
            "baseline": self.baseline,
            "ratio": self.ratio,
            "target": self.goal.number if self.goal else None,
            "met": self.met,
            "note": self.note,
        }


@dataclass(frozen=True)
class Options:
    """What every benchmark can be told."""

    quick: bool
    json: Path | None


def options(description: str, epilog: str) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the most telling rows only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as JSON")
    given = parser.parse_args()
    if given.json and not given.json.absolute().parent.is_dir():
        parser.error(f"--json {given.json}: there is no such folder")
    return Options(given.quick, given.json)


def run(
    description: str,
    epilog: str,
    *,
    full: Callable[[], Plan],
    quick: Callable[[], Plan],
    measure: Callable[[Plan, Path, Console], Coroutine[Any, Any, list[Row]]],
) -> None:
    """What every benchmark's ``main`` does: measure what the command line asks for and show it.

    ``measure`` gets the plan, a folder that is gone afterwards, and a console for its progress.
    """
    chosen = options(description, epilog)
    # As Ctrl-C does it: nothing that was started may stay behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="edgeferry-bench-") as folder:
        plan = quick() if chosen.quick else full()
        rows = asyncio.run(measure(plan, Path(folder), Console(stderr=True)))
    publish(rows, chosen)


def publish(rows: Iterable[Row], chosen: Options) -> None:
    """Print the table with its notes, and write the JSON."""
    rows = tuple(rows)
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    console.print(table(rows))
    for number, note in enumerate(_notes(rows), 1):
        console.print(f"[bold]{number}[/]  {note}")
    if chosen.json:
        document = {"rows": [row.document() for row in rows], "machine": machine()}
        chosen.json.write_text(json.dumps(document, indent=1) + "\n")


def table(rows: Iterable[Row]) -> Table:
    """The rows for people, a case's name before the first of its rows only."""
    rows = tuple(rows)
    notes = _notes(rows)
    shown = Table(box=box.SIMPLE_HEAD)
    for column in ("case", "metric"):
        shown.add_column(column, overflow="fold")
    for column in ("ours", "baseline", "ratio", "target"):
        shown.add_column(column, justify="right", no_wrap=True)
    shown.add_column("met")
    shown.add_column("note", justify="right")
    case = ""
    for row in rows:
        shown.add_row(
            "" if row.case == case else row.case,
            f"{row.metric}, {row.unit}" if row.unit else row.metric,
            _number(row.ours),
            _number(row.baseline),
            f"{_number(row.ratio)}x" if row.ratio is not None else "",
            str(row.goal or ""),
            {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[row.met],
            str(notes.index(row.note) + 1) if row.note else "",
        )
        case = row.case
    return shown


def _notes(rows: Iterable[Row]) -> list[str]:
    """Each note once, in order."""
    return list(dict.fromkeys(row.note for row in rows if row.note))


def machine() -> dict[str, Any]:
    """Where, when and with what the figures were measured."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.executable).name, *sys.argv]),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _commit() -> str | None:
    """The commit the working tree stands on, with a + if it was changed; None outside of git."""
    command = ("git", "-C", str(_ROOT), "describe", "--always", "--dirty=+", "--exclude=*")
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(models, platform.machine())
