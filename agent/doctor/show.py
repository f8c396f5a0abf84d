"""Findings for people, and progress while they are made."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from agent.doctor.examine import CONFIGURATION, EXAMINATIONS, examine
from agent.doctor.finding import Finding, Level

_MARKS = {
    Level.OK: "[green]ok[/]     ",
    Level.WARNING: "[yellow]warning[/]",
    Level.ERROR: "[red]error[/]  ",
}


async def examine_with_progress(config: Path | None) -> list[Finding]:
    """Examine; a terminal shows what is still being looked at."""
    console = Console(stderr=True)
    waiting = list(EXAMINATIONS)
    if not console.is_terminal:
        return await examine(config)
    with console.status("examining") as line:

        def done(group: str) -> None:
            waiting.remove(group)
            line.update(f"examining {', '.join(waiting)}")

        return await examine(config, done)


def show_findings(findings: list[Finding]) -> None:
    """Print every finding below its group, and the sum at the end."""
    console = Console(soft_wrap=True, highlight=False, emoji=False)
    for group, members in groupby(findings, key=lambda finding: finding.group):
        console.print(f"[bold]{group}[/]")
        for finding in members:
            console.print(f"  {_MARKS[finding.level]} {escape(finding.text)}")
            if finding.next_step:
                console.print(f"          -> {escape(finding.next_step)}")
    counts = {level: sum(f.level is level for f in findings) for level in Level}
    ok, warnings, errors = counts.values()
    console.print(f"\n{ok} ok, warnings: {warnings}, errors: {errors}")
    if findings[0].group == CONFIGURATION and len(findings) == 1:
        console.print("The rest was not examined.")
