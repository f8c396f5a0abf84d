"""What the one command says of itself."""

from __future__ import annotations

from importlib.metadata import version

from typer.testing import CliRunner

from commands.main import app


def test_it_tells_its_version() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.stdout) == (0, f"edgeferry {version('edgeferry')}\n")


def test_its_help_says_where_each_command_is_for() -> None:
    panels = {each.rich_help_panel for each in (*app.registered_commands, *app.registered_groups)}
    assert panels == {"On the device", "At the operator's desk", "On one machine, to try it"}
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout
    assert all(panel in shown for panel in panels)
