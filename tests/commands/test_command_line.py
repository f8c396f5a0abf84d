"""What the one command says of itself."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from typer.testing import CliRunner

from commands.main import app


def test_it_tells_its_version() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.stdout) == (0, f"edgeferry {version('edgeferry')}\n")


def test_its_help_says_where_each_command_is_for() -> None:
    panels = {each.rich_help_panel for each in app.registered_commands}
    panels |= {each.rich_help_panel for each in app.registered_groups}
    assert panels == {"On the device", "At the operator's desk", "On one machine, to try it"}
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout
    assert all(str(panel) in shown for panel in panels)


def test_the_demo_begins_with_a_new_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    for folder, said in ((tmp_path, "something is in"), (tmp_path / "taken", "can't be used")):
        refused = CliRunner().invoke(
            app, ["demo", "--dir", str(folder)], env={"COLUMNS": "300"}, catch_exceptions=False
        )
        assert (refused.exit_code, said in refused.stderr) == (2, True), refused.stderr
