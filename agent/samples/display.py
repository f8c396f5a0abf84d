"""Samples for people's eyes."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from agent.samples.store import Sample


def show_samples(samples: list[Sample]) -> None:
    """Print a table and what it takes of the disk."""
    if not samples:
        Console().print(
            "no samples; [bold]on = true[/bold] in \\[samples] lets the worker keep some"
        )
        return
    table = Table(box=None, header_style="bold")
    # When it was taken is part of its id.
    for column in ("sample", "why", "label", "score", "model"):
        table.add_column(column, overflow="fold", no_wrap=column != "label")
    for sample in samples:
        document = sample.document
        model = document["version"] or document["release"]
        sure = f"{sample.confidence:.0%}"
        row = (sample.id, document["why"], sample.label, sure, model)
        table.add_row(*map(str, row))
    console = Console()
    console.print(table)
    console.print(f"{len(samples)} samples, {sum(sample.bytes for sample in samples):,} bytes")
