"""``edgeferry``: every package's commands under one name, imported lazily."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from agent.commands import device as agent_cli
from commands import publish as publish_cli
from commands import samples_pull
from demo import cli as demo_cli
from localcloud import cli as localcloud_cli
from provisioning import commands as provisioning_commands

_HELP = (
    "Keeps the machine-learning model of an edge device current, over Golioth."
    "\n\n"
    "`edgeferry demo` plays the whole journey on this machine. Every command explains itself with"
    " --help, and prints JSON for scripts with --json where there is something to read."
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"edgeferry {version('edgeferry')}")
        raise typer.Exit


def _edgeferry(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """The options of the one command itself."""


app = typer.Typer(
    name="edgeferry",
    help=_HELP,
    callback=_edgeferry,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Paragraphs of the help then fit themselves to the terminal.
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add(panel: str, *registers: Callable[[typer.Typer], None]) -> None:
    """Add packages' commands, to stand together in the help."""
    commands, groups = len(app.registered_commands), len(app.registered_groups)
    for register in registers:
        register(app)
    for command in app.registered_commands[commands:]:
        command.rich_help_panel = panel
    for group in app.registered_groups[groups:]:
        group.rich_help_panel = panel


_add("On the device", agent_cli.register)
samples_pull.register()
_add("At the operator's desk", provisioning_commands.register, publish_cli.register)
_add("On one machine, to try it", localcloud_cli.register, demo_cli.register)


def main() -> NoReturn:
    """Run the command line. Exit status: 0 done, 1 failed, 2 wrong usage or configuration."""
    # sqlite-utils imports pandas wherever it is installed: 0.4 s and 30 MB for nothing.
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        app()
    except Exception as error:
        status = exit_status_of(error)
        if status is None:
            raise
        sys.stderr.write(f"edgeferry: {error}\n")
        sys.exit(status)
    sys.exit(0)


def exit_status_of(error: Exception) -> int | None:
    """The exit status of an error that explains itself; None for a defect, shown whole.

    Such an error's text is all that a user needs, and its class says so in any package, without a
    base in common: by an attribute ``exit_status``, 1 for failed, 2 for wrong usage or
    configuration.
    """
    status = getattr(error, "exit_status", None)
    return status if isinstance(status, int) else None


if __name__ == "__main__":
    main()
