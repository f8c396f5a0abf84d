"""``edgeferry samples``: list, export and delete what was kept for training."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.options import ConfigOption, JsonOption, settings_of
from agent.wall_clock import utc_text

if TYPE_CHECKING:
    from agent.journal.uploads import Sent
    from agent.samples.store import Sample, SampleStore

samples = typer.Typer(
    name="samples",
    help="Pictures kept for training: list, export and delete them.\n\n"
    "The worker keeps pictures when [samples] on = true: unsure ones, ones near a threshold and a "
    "few at random. All of this is safe beside a running worker. `pull` is for the operator: it "
    "fetches what devices sent.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

ReleaseOption = Annotated[
    str | None,
    typer.Option(
        "--release", metavar="ID", help="Only those of this release; a beginning will do."
    ),
]
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@samples.callback(invoke_without_command=True)
def list_samples(
    context: typer.Context, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """List them, the oldest first."""
    if context.invoked_subcommand:
        return
    from agent.samples.upload_state import stored_upload_state

    kept = list(_store(config).oldest_first())
    upload = stored_upload_state(settings_of(config))
    if as_json:
        sent = upload.sent if upload else {}
        shown = [{**sample.to_json(), "sent": _sent(sent.get(sample.id))} for sample in kept]
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        from agent.samples.display import show_samples

        show_samples(kept, upload)


@samples.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    release: ReleaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Copy them to FOLDER/LABEL/ID.jpg, with samples.csv and info.labels.

    LABEL is what the model took the picture for: look through the folders and move what is wrong
    before you train. `edge-impulse-uploader --info-file info.labels` uploads them as they are
    labelled there.
    """
    from agent.samples.export import FolderNotEmpty, export_samples

    chosen = (s for s in _store(config).oldest_first() if _of_release(s, release))
    try:
        count = export_samples(chosen, folder)
    except FolderNotEmpty as refused:
        raise typer.BadParameter(str(refused), param_hint="FOLDER") from None
    typer.echo(f"{count} samples in {folder}")


@samples.command()
def delete(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Which ones.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    older_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="Those older than this: 30m, 12h, 7d or 2w.")
    ] = None,
    release: ReleaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Delete samples: the named ones, all, or those that meet every condition given."""
    if not (ids or everything or older_than or release):
        raise typer.BadParameter("name samples, or say --all, --older-than or --release")
    before = _moment_before(older_than) if older_than else None
    store = _store(config)
    chosen = [
        sample
        for sample in store.oldest_first()
        if (not ids or sample.id in ids)
        and (before is None or str(sample.document["taken_at"]) < before)
        and _of_release(sample, release)
    ]
    for sample in chosen:
        store.delete(sample.id)
    freed = sum(sample.bytes for sample in chosen)
    typer.echo(f"{len(chosen)} samples deleted, {freed:,} bytes freed")


def _sent(sent: Sent | None) -> dict[str, int] | None:
    return {"parts": sent.parts, "acknowledged": sent.acknowledged} if sent else None


def _store(config: Path | None) -> SampleStore:
    from agent.samples.store import SampleStore
    from agent.store.files import Files

    return SampleStore(settings_of(config).device.state_dir, Files())


def _of_release(sample: Sample, release: str | None) -> bool:
    return release is None or str(sample.document["release"]).startswith(release)


def _moment_before(age: str) -> str:
    """The time that long ago, as samples bear it."""
    match = re.fullmatch(r"(\d{1,6})([mhdw])", age)
    if not match:
        raise typer.BadParameter(f"{age!r} is no time like 30m, 12h, 7d or 2w")
    then = datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
    return utc_text(then)


def register(app: typer.Typer) -> None:
    """Add the commands to the one command."""
    app.add_typer(samples)
