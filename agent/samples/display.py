"""Samples for people's eyes."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent.samples.store import Sample
from agent.samples.upload_state import UploadState


def show_samples(samples: list[Sample], upload: UploadState | None) -> None:
    """Print a table, what it takes of the disk, and how far it is sent."""
    console = Console(emoji=False)
    if samples:
        console.print(_table(samples, upload))
        console.print(f"{len(samples)} samples, {sum(sample.bytes for sample in samples):,} bytes")
    else:
        console.print("no samples; [bold]on = true[/bold] in \\[samples] lets the worker keep some")
    if upload and upload.on:
        waits = f"; nothing is sent now: {upload.waits_for}" if upload.waits_for else ""
        console.print(f"upload: {upload.bytes_today:,} bytes sent today{waits}")


def _table(samples: list[Sample], upload: UploadState | None) -> Table:
    table = Table(box=None, header_style="bold")
    # When it was taken is part of its id.
    columns = ("sample", "why", "label", "score", "model")
    for column in (*columns, "sent") if upload and upload.sent else columns:
        table.add_column(column, overflow="fold", no_wrap=column != "label")
    for sample in samples:
        document = sample.document
        model = document["version"] or document["release"]
        sure = f"{sample.confidence:.0%}"
        row = [sample.id, document["why"], sample.label, sure, model]
        if upload and (sent := upload.sent.get(sample.id)):
            row.append(f"{sent.acknowledged}/{sent.parts}")
        table.add_row(*(escape(str(cell)) for cell in row))
    return table
