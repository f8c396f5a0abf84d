"""What commands print: a progress bar on a terminal, then a table, or JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from provisioning.batch import Batch, for_each

_MOST_ROWS = 20
_ANY_WIDTH = 10_000

Document = dict[str, Any]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Report:
    """What became of each device; ``next_steps`` is for people."""

    devices: list[Document] = field(default_factory=list)
    stopped: str | None = None
    next_steps: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def add(self, name: str, outcome: str, detail: str = "", **more: object) -> None:
        """One device; ``more`` is shown in JSON only."""
        self.devices.append({"name": name, "outcome": outcome, "detail": detail, **more})

    def add_failures(self, failed: Sequence[tuple[str, Exception]], stopped: str | None) -> None:
        """The devices that something went wrong with; ``stopped`` is why others were left alone."""
        for name, error in failed:
            self.add(name, "failed", str(error))
        self.stopped = stopped

    def show(self, *, as_json: bool) -> None:
        """Print it, and end the command with status 1 where something was not done."""
        seconds = round(time.monotonic() - self._began, 3)
        counts = Counter(device["outcome"] for device in self.devices)
        if as_json:
            document = {"devices": self.devices, "summary": counts, "seconds": seconds}
            print_json({**document, "stopped": self.stopped})
        else:
            self._show(counts, seconds)
        if self.stopped is not None or counts["failed"]:
            raise typer.Exit(1)

    def _show(self, counts: Counter[str], seconds: float) -> None:
        # The failed ones must be seen, however many went well.
        shown = sorted(self.devices, key=lambda device: device["outcome"] != "failed")
        print_first_rows(shown, ("name", "outcome", "detail"))
        total = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
        typer.echo(f"{total or 'nothing to do'} in {seconds:.1f} s")
        if self.stopped is not None:
            again = "what is done stays done; run the same command again to go on"
            typer.echo(f"stopped: {self.stopped}; {again}")
        if self.devices and self.stopped is None and not counts["failed"]:
            print_steps(self.next_steps)


def print_json(document: object, *, indent: int | None = 2) -> None:
    """Print JSON for scripts, times as RFC 3339; ``indent`` None for one line, at once."""
    text = json.dumps(document, indent=indent, ensure_ascii=False, default=_plain)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def print_rows(rows: Sequence[Document], columns: Sequence[str]) -> None:
    """Print a table, nothing when it is empty."""
    if not rows:
        return
    table = plain_table(*(column.replace("_", " ") for column in columns))
    for row in rows:
        table.add_row(*(str(row[column]) if row[column] is not None else "" for column in columns))
    plain_console().print(table)


def print_first_rows(rows: Sequence[Document], columns: Sequence[str]) -> None:
    """Print a table of the first rows, and how many more there are."""
    print_rows(rows[:_MOST_ROWS], columns)
    if (more := len(rows) - _MOST_ROWS) > 0:
        typer.echo(f"… and {more} more; --json lists all")


def plain_table(*columns: str) -> Table:
    """A table that shows everything: what is too long for its column goes on in the next line."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def plain_console(*, stderr: bool = False) -> Console:
    """Prints text as it is: names and fingerprints may look like markup or emoji.

    Lines are as wide as the terminal, or as COLUMNS; where there is neither, nobody folds them, so
    that grep finds rows whole.
    """
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _ANY_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, emoji=False, markup=False)


def print_facts(facts: Document) -> None:
    """Print names and values, one pair per line."""
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        typer.echo(f"{name.replace('_', ' '):<{width}}{value}")


def confirm(question: str, *, sure: bool) -> None:
    """Ask at a terminal, unless ``sure``; what is no yes ends the command with status 1."""
    if not sure and sys.stdin.isatty():
        typer.confirm(question, abort=True)


def print_steps(steps: Iterable[str]) -> None:
    """Print what to do next, one step per line."""
    for step in steps:
        typer.echo(f"→ {step}")


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A sign of life on standard error while one thing takes long; silent where nobody watches."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(f"{what} …"):
        yield


def for_each_shown(
    what: str,
    items: Sequence[Item],
    work: Callable[[Item], Result],
    on_result: Callable[[Result], None] = lambda _: None,
) -> Batch[Item, Result]:
    """:func:`for_each` with a bar; ``on_result`` is called in this thread, not for failures."""
    with progress(what, len(items)) as advance:

        def done(result: Result | None) -> None:
            advance()
            if result is not None:
                on_result(result)

        return for_each(items, work, on_done=done)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error while many things are done; silent where nobody watches."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
