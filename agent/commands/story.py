"""An explained update as a page for a tired engineer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent.commands.display import facts_table, moment
from agent.commands.words import EVENTS, span

Document = dict[str, Any]

FIRST_STEPS, LAST_STEPS = 6, 14
"""Steps shown of an update that was tried again and again; the rest is in the history."""
_MARK = {"passed": "ok", "failed": "[bold red]FAILED", "skipped": "[dim]-"}


def show_story(story: Document) -> None:
    """Print what ``edgeferry explain`` answers."""
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    console.print(f"[bold]{escape(story['verdict'])}")
    for line in story["next"]:
        console.print(escape(line))
    console.print()
    console.print(_offer(story))
    console.print()
    console.print(_steps(story["steps"]))
    for heading, lines in _sections(story):
        console.print(f"\n[bold]{heading}")
        for line in lines:
            console.print(escape(f"  {line}"))
    if story["window"]:
        show_window(story["window"], console)


def show_window(window: Document, console: Console) -> None:
    """Print what a release showed in its commit window, beside the one before it."""
    console.print("\n[bold]Commit window")
    for line in _window_lines(window):
        console.print(escape(f"  {line}"))
    console.print(_checks(window))
    for line in _not_judged(window):
        console.print(escape(f"  {line}"))


def _offer(story: Document) -> Table:
    table = facts_table()
    table.add_row("update", f"{story['update']}  (sequence {story['sequence']})")
    table.add_row("release", story["release"])
    replaces = story["replaces"]
    before = replaces["versions"] if replaces else {}
    for package in story["packages"]:
        was = before.get(package["name"])
        came = "unchanged" if package["unchanged"] else f"before: {was}" if was else "new"
        size = f"{package['size']:,} bytes"
        table.add_row("", escape(f"{package['name']} {package['version']}, {size}  ({came})"))
    table.add_row("replaces", replaces["id"] if replaces else "nothing: the first release")
    cost = story["download"]
    table.add_row(
        "download",
        f"{cost['fetched_bytes']:,} bytes in {cost['fetched_blocks']} blocks, "
        f"{cost['retransmissions']} repeated",
    )
    return table


def _steps(steps: list[Document]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("at", "state", "for", "left because"):
        table.add_column(column, overflow="fold", no_wrap=column in {"at", "state"})
    said = ""
    left_out = len(steps) - FIRST_STEPS - LAST_STEPS
    for number, step in enumerate(steps):
        if left_out > 0 and FIRST_STEPS <= number < FIRST_STEPS + left_out:
            if number == FIRST_STEPS:
                table.add_row("", f"… {left_out} more", "", "see `edgeferry history`")
            continue
        why = _left(step, said)
        said = (step["left_by"] or {}).get("detail") or said
        table.add_row(moment(step["at"]), step["state"], _stay(step), escape(why))
    return table


def _stay(step: Document) -> str:
    return "" if step["seconds"] is None else span(step["seconds"])


def _left(step: Document, said: str) -> str:
    """Why a state was left; a detail that was ``said`` of the state before is not said again."""
    left = step["left_by"]
    if left is None:
        return ""
    words = EVENTS.get(left["event"], left["event"])
    return f"{words}: {left['detail']}" if left["detail"] not in {"", said} else words


def _sections(story: Document) -> Iterator[tuple[str, list[str]]]:
    if story["trial"]:
        yield "Trial", list(_trial(story["trial"]))
    if story["swap"]:
        yield "Swap", list(_swap(story["swap"]))


def _trial(trial: Document) -> Iterator[str]:
    if "input_shape" in trial:
        ins, outs = (
            f"{trial[f'{side}_type']} {trial[f'{side}_shape']}" for side in ("input", "output")
        )
        yield f"in {ins}, out {outs}, {trial['labels']} labels, runtime {trial['runtime']}"
    active = trial.get("active") or {}
    if trial.get("latency_ms") is not None:
        beside = [
            text
            for text, value in (
                ("budget {:g} ms", trial.get("latency_budget_ms") or None),
                ("the active one {:.3g} ms", active.get("latency_ms")),
            )
            if value is not None
            for text in [text.format(value)]
        ]
        rest = f"  ({', '.join(beside)})" if beside else ""
        yield f"latency {trial['latency_ms']:.3g} ms{rest}"
    if trial.get("golden"):
        before = active.get("golden")
        rest = f"  (the active one {before['accuracy']:.0%})" if before else ""
        golden = trial["golden"]
        right = f"{golden['right']} of {golden['pictures']} right"
        yield f"golden set: {golden['accuracy']:.0%}, {right}{rest}"
    if active.get("not_measured"):
        yield f"the active release was not measured: {active['not_measured']}"


def _swap(swap: Document) -> Iterator[str]:
    if swap.get("gap_ms") is not None:
        yield f"between two results: {swap['gap_ms']:g} ms"
    if swap.get("drained"):
        yield "memory did not allow two engines: the old one was let go first"
    if swap.get("shadow"):
        yield f"release {swap['shadow']} ran beside it, to be compared with"
    if "signalled" in swap:
        yield "the script was signalled" if swap["signalled"] else "the script was not running"


def _window_lines(window: Document) -> Iterator[str]:
    figures = window["figures"]
    if figures:
        counted = ", ".join(f"{figures[n]} {n}" for n in ("captured", "classified", "dropped"))
        yield f"frames: {counted}; engine failures: {figures['errors']}"
        comparison = figures.get("comparison")
        if comparison and comparison["same_frames"]:
            yield f"{comparison['compared']} of them were classified by both releases"
    if window["restarts"]:
        yield f"the worker was restarted {window['restarts']} times"
    if window["why"]:
        yield str(window["why"])


def _checks(window: Document) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("  compared", "new", "before", "limit", ""):
        table.add_column(column, overflow="fold")
    for check in window["checks"]:
        sides = (escape(check[side]) for side in ("candidate", "previous", "limit"))
        table.add_row(f"  {check['name']}", *sides, _MARK[check["result"]])
    return table


def _not_judged(window: Document) -> Iterator[str]:
    """Why checks were skipped, each reason once."""
    skipped: dict[str, list[str]] = {}
    for check in window["checks"]:
        if check["result"] == "skipped":
            skipped.setdefault(check["why"], []).append(check["name"])
    for why, names in skipped.items():
        yield f"not judged: {', '.join(names)}: {why}"
