"""Every ``--json`` is documented, and the check that holds outputs to the page can fail.

The outputs themselves are checked wherever tests read them: `Run.document` of
`tests.support.provisioning`, and the walks of this folder.
"""

from __future__ import annotations

from typing import Any

import pytest
import typer

from commands.main import app
from commands.reference.command_page import walk
from tests.support.json_outputs import DocumentedOtherwise, check_output, documented, form


def test_every_command_with_json_has_a_table() -> None:
    with_json = {
        name
        for name, command in walk(typer.main.get_command(app), "edgeferry")
        if any("--json" in option.opts for option in command.params)
    }
    assert with_json | {"edgeferry history --updates"} == documented()


@pytest.mark.parametrize("heading", sorted(documented()))
def test_every_table_can_be_read(heading: str) -> None:
    assert form(heading).parts


GOOD: dict[str, Any] = {
    "left": None,
    "serves": {
        "id": "0123",
        "sequence": None,
        "packages": {"labels": {"version": "1", "sha256": "ab", "size": 20}},
    },
}


def test_what_is_as_documented_passes() -> None:
    check_output(("rollback", "--json"), GOOD)
    check_output(("history", "--json", "--updates"), [])


@pytest.mark.parametrize(
    "wrong",
    [
        {**GOOD, "more": 1},
        {"left": None},
        {**GOOD, "serves": "0123"},
        {**GOOD, "serves": {**GOOD["serves"], "id": None}},
        {**GOOD, "serves": {**GOOD["serves"], "packages": {"labels": {"version": "1"}}}},
        [],
    ],
)
def test_what_is_not_as_documented_is_noticed(wrong: Any) -> None:
    with pytest.raises(DocumentedOtherwise):
        check_output(("rollback",), wrong)


def test_a_command_that_is_not_documented_is_noticed() -> None:
    with pytest.raises(DocumentedOtherwise, match="no table"):
        check_output(("hold", "--json"), {})
