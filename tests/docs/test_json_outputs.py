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


ONE_SIDE: dict[str, Any] = {
    **dict.fromkeys(("captured", "classified", "dropped", "errors", "changes"), 1),
    "inference_ms": {"p50": 1.0, "p95": None},
    "confidence": {"mean": None, "histogram": [0] * 10},
    "classes": {"red.green": 1},
}
COMPARISON: dict[str, Any] = {
    "release": "b",
    "previous": "a",
    "since": "2026-11-28T14:00:00.000Z",
    "compared": 1,
    "agreed": 1,
    "same_frames": False,
    "shadowing": False,
    "why_not": "no engine",
    "candidate": ONE_SIDE,
    "previous_side": ONE_SIDE,
}


def test_what_is_as_documented_passes() -> None:
    check_output(("rollback", "--json"), GOOD)
    form("comparison").check(COMPARISON, "comparison")
    form("figures").parts["comparison"].check(None, "comparison")
    check_output(("history", "--json", "--updates"), [])


def test_what_is_missing_from_an_included_table_is_noticed() -> None:
    with pytest.raises(DocumentedOtherwise, match="agreed"):
        form("comparison").check({**COMPARISON, "agreed": None}, "comparison")


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
