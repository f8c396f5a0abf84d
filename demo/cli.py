"""``edgeferry demo``. What it needs is imported only when it runs: devices do without it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _new_folder(folder: Path | None) -> Path | None:
    """Raises BadParameter for a folder that the demo can't begin in."""
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        raise typer.BadParameter(f"{folder} can't be used: {error.strerror}") from error
    if used:
        raise typer.BadParameter(f"something is in {folder} already; name a new folder")
    return folder


def register(app: typer.Typer) -> None:
    """Add the command to ``edgeferry``."""
    app.command()(demo)


def demo(
    folder: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            callback=_new_folder,
            help="New folder to work in; a temporary one when not given.",
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running at the end, until Ctrl-C.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Play the whole journey on this machine, with real models and labelled pictures.

    A local cloud, a device with a certificate, its agent and its worker are started as processes of
    their own. Model 1 is deployed, then model 2, then a pair that must be refused. A model that
    always gives the same answer is refused by the golden set; without one it serves for a moment
    and is rolled back, as is one whose engine is killed. The agent is killed in the middle of a
    download and resumes; model 1 comes back without a download. Exit status 0 means that every step
    held.
    """
    from demo.show import play

    raise typer.Exit(0 if play(folder, keep=keep, as_json=as_json) else 1)
