"""The device's commands: the two daemons, and a look into the journal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands import orders as operator_cli
from agent.commands.options import ConfigOption, JsonOption, LimitOption, settings_of
from agent.diag.cli import diag
from agent.doctor.cli import doctor
from agent.samples import cli as samples_cli

if TYPE_CHECKING:
    from agent.commands.inspection import Inspector


def run(
    config: ConfigOption = None,
    with_worker: Annotated[
        bool, typer.Option("--with-worker", help="Start a worker as well, for a bench.")
    ] = False,
) -> None:
    """Run the update agent until SIGTERM.

    It observes the manifest, fetches what is deployed, proves it, drives the worker and reports.
    Everything it knows is in STATE_DIR/state.db; look with `edgeferry status`.
    """
    import asyncio

    from agent.daemon import run_agent
    from agent.pair import run_with_worker

    settings = settings_of(config)
    asyncio.run(run_with_worker(settings, config) if with_worker else run_agent(settings))


def worker(config: ConfigOption = None) -> None:
    """Run the inference worker until SIGTERM.

    It owns the camera, serves the active release at once and switches when the agent says so. It
    needs neither the network nor a running agent.
    """
    import asyncio

    from agent.worker.garbage import spare_what_stays
    from agent.worker.main import run_worker

    settings = settings_of(config)
    device = settings.device
    spare_what_stays()
    again = asyncio.run(
        run_worker(
            settings.worker,
            device.state_dir,
            names=device.names,
            samples=settings.samples,
            reserve_bytes=device.reserve_bytes,
        )
    )
    if again:
        # The same process for whoever watches it, with nothing left of what it had in memory.
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - no shell, and our own arguments


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what the device serves, does and waits for; works without a running agent too."""
    from agent.commands.display import show_status

    _show(config, as_json, lambda inspector: inspector.status(), show_status)


def history(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    limit: LimitOption = 30,
    updates: Annotated[
        bool, typer.Option("--updates", help="One line per update, not per transition.")
    ] = False,
) -> None:
    """Show the transitions, oldest first: what happened, when and why."""
    from agent.commands.display import show_history, show_updates

    if updates:
        _show(config, as_json, lambda inspector: inspector.updates(limit), show_updates)
    else:
        _show(config, as_json, lambda inspector: inspector.history(limit), show_history)


def releases(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the releases on disk: which one serves, which one it would go back to."""
    from agent.commands.display import show_releases

    _show(config, as_json, lambda inspector: inspector.releases(), show_releases)


def hold(
    config: ConfigOption = None,
    downloads: Annotated[
        bool, typer.Option("--downloads", help="Hold downloads as well, not only activation.")
    ] = False,
) -> None:
    """Keep releases from taking over until `edgeferry release-hold`.

    Downloads go on, so that the switch is quick when it comes. What serves is not touched. It is
    the file STATE_DIR/hold, so other programs may hold a device too; it survives restarts.
    """
    from agent.gate import write_hold
    from states.gates import Hold

    held = Hold.EVERYTHING if downloads else Hold.ACTIVATION
    write_hold(settings_of(config).device.state_dir, held)
    typer.echo(f"on hold: {held}")


def release_hold(config: ConfigOption = None) -> None:
    """Let a held device go on."""
    from agent.gate import write_hold
    from states.gates import Hold

    write_hold(settings_of(config).device.state_dir, Hold.NOTHING)
    typer.echo("nothing is on hold")


def example_config() -> None:
    """Print a configuration file that shows and explains every key, all at its default."""
    from agent.commands import example_config as generator

    typer.echo(generator.example_config(), nl=False)


def _show(
    config: Path | None,
    as_json: bool,
    ask: Callable[[Inspector], Any],
    show: Callable[[Any], None],
) -> None:
    from agent.commands.inspection import Inspector

    with closing(Inspector(settings_of(config))) as inspector:
        answer = ask(inspector)
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        show(answer)


def register(app: typer.Typer) -> None:
    """Add the device's commands to the one command."""
    for command in (run, worker, status, history, releases, hold, release_hold, example_config):
        app.command()(command)
    for command in (doctor, diag):
        app.command()(command)
    operator_cli.register(app)
    samples_cli.register(app)


def device_app() -> typer.Typer:
    """A command line of the device's commands alone."""
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
    register(app)
    return app
