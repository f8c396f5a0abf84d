"""Options that the device's commands share, and the settings they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agent.config import Settings

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="EDGEFERRY_CONFIG",
        help="The TOML file; /etc/edgeferry/agent.toml when not given.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="Newest entries shown.")]


def settings_of(config: Path | None) -> Settings:
    """The configuration, with logging set up as it says."""
    from agent.config import load_settings
    from agent.service.logs import set_up_logging

    settings = load_settings(config)
    set_up_logging(settings.log.level)
    return settings
