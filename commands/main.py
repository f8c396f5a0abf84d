"""``edgeferry``: every package's commands under one name, imported lazily."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from agent.commands import device as agent_cli
from commands import publish as publish_cli
from commands import samples_pull
from demo import cli as demo_cli
from localcloud import cli as localcloud_cli
from provisioning import commands as provisioning_commands

app = typer.Typer(
    name="edgeferry",
    help="Keeps the machine-learning model of an edge device current, over Golioth.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Paragraphs of the help then fit themselves to the terminal.
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
agent_cli.register(app)
localcloud_cli.register(app)
provisioning_commands.register(app)
publish_cli.register(app)
samples_pull.register()
demo_cli.register(app)

FAILED, WRONG_USAGE = 1, 2


def main() -> NoReturn:
    """Run the command line. Exit status: 0 done, 1 failed, 2 wrong usage or configuration."""
    try:
        app()
    except Exception as error:
        status = _exit_status(error)
        if status is None:
            raise
        sys.stderr.write(f"edgeferry: {error}\n")
        sys.exit(status)
    sys.exit(0)


def _exit_status(error: Exception) -> int | None:
    """The exit status of an error that explains itself; None for a defect, shown whole."""
    from agent.commands.explaining import NothingToExplain
    from agent.commands.orders_client import AgentNotAsked
    from agent.errors import ConfigurationError
    from agent.journal.schema import JournalError
    from agent.store.lock import StateDirectoryBusy
    from agent.worker.errors import WorkerError
    from protocol.errors import CredentialError
    from provisioning.errors import ProvisioningError, WrongUsage
    from states.ports import Postponed

    if isinstance(error, (ConfigurationError, CredentialError, WrongUsage)):
        return WRONG_USAGE
    told = (
        AgentNotAsked,
        JournalError,
        NothingToExplain,
        StateDirectoryBusy,
        WorkerError,
        Postponed,
        ProvisioningError,
    )
    if isinstance(error, told):
        return FAILED
    return None


if __name__ == "__main__":
    main()
