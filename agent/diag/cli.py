"""``edgeferry diag``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.commands.options import ConfigOption


def diag(
    file: Annotated[
        Path | None, typer.Argument(help="The .tar.gz to write; named after device and time.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Collect a support archive: everything about this device except its secrets.

    Status, history, releases, a copy of the journal, the configuration without keys, doctor's
    findings, logs, versions and the list of files. Only its owner may read the archive. Run it as
    root to have the logs in it.
    """
    from rich.console import Console

    from agent.config import load_settings
    from agent.diag.archive import default_name, write_archive
    from agent.diag.members import Device
    from agent.doctor.examine import borrow_service_credentials

    borrow_service_credentials()
    path = file or default_name()
    device = Device(config, load_settings(config))
    with Console(stderr=True).status("collecting") as line:
        write_archive(path, device, lambda name: line.update(f"collecting {name}"))
    typer.echo(path)
