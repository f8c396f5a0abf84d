"""Commands by which an operator tells the running agent what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands.options import ConfigOption, JsonOption, settings_of

if TYPE_CHECKING:
    from pathlib import Path


def rollback(
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="RELEASE",
            help="Go back to this one; the beginning of its id will do (`edgeferry releases`).",
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go back to the previous release now, and stay there.

    The release that is left counts as rejected: the deployment that brought it does not bring it
    back, other ones go on as usual. `edgeferry retry` lets it in again. An update that is being
    downloaded is broken off for the moment and goes on afterwards.
    """
    answer = _ask(config, "rollback", to=to)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        left, serves = (_named(answer[side]) for side in ("left", "serves"))
        typer.echo(f"{serves} serves; {left} was left and is not taken again")


def retry(
    release: Annotated[
        str | None,
        typer.Argument(help="The rejected release; the one that is deployed when not given."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try again: end a wait at once, or let a rejected release in again."""
    answer = _ask(config, "retry", release=release)
    typer.echo(json.dumps(answer, indent=2) if as_json else answer["said"])


def reload(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Have the worker load the active release again, beside the engine that serves.

    For a model that has gone strange without failing. No frame is dropped where memory allows two
    engines; an inference script of your own gets SIGUSR1.
    """
    answer = _ask(config, "reload")
    typer.echo(json.dumps(answer, indent=2) if as_json else f"{answer['release']} was loaded anew")


def explain(
    named: Annotated[
        str | None,
        typer.Argument(
            metavar="[UPDATE|RELEASE]",
            help="Its number, or (the beginning of) a release's id; the newest when not given.",
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell the whole story of an update: what was offered, what was measured, and why it ended so.

    It is read from the journal alone, so it works while the agent is stopped too. The numbers of
    updates are shown by `edgeferry history --updates`.
    """
    from contextlib import closing

    from agent.commands.inspection import Inspector
    from agent.commands.story import show_story

    with closing(Inspector(settings_of(config))) as inspector:
        story = inspector.explain(named)
    if as_json:
        typer.echo(json.dumps(story, indent=2, ensure_ascii=False))
    else:
        show_story(story)


def _ask(config: Path | None, operation: str, **parameters: object) -> dict[str, Any]:
    from agent.commands.orders_client import ask_agent

    return ask_agent(settings_of(config).device.state_dir, operation, **parameters)


def _named(release: dict[str, Any] | None) -> str:
    from agent.commands.display import versions

    if release is None or "packages" not in release:
        return release["id"] if release else "nothing"
    return versions(release)


def register(app: typer.Typer) -> None:
    """Add the operator's commands to the one command."""
    for command in (explain, rollback, retry, reload):
        app.command()(command)
