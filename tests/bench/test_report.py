from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench.report import Goal, Options, Row, options, publish, table


def test_the_ratio_says_how_many_times_better_whichever_way_better_is() -> None:
    assert Row("c", "time", "s", 2.0, 100.0).ratio == 50
    assert Row("c", "rate", "B/s", 100.0, 2.0, more_is_better=True).ratio == 50
    assert Row("c", "time", "s", 2.0).ratio is None


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal("ratio", 50), True),
        (Goal("ratio", 51), False),
        (Goal("ours", 2), True),
        (Goal("ours", 2, ceiling=True), True),
        (Goal("ours", 1.9, ceiling=True), False),
        (None, None),
    ],
)
def test_a_goal_is_about_the_ratio_or_about_ours(goal: Goal | None, met: bool | None) -> None:
    assert Row("c", "time", "s", 2.0, 100.0, goal).met is met


def test_a_goal_about_a_ratio_that_is_not_there_is_neither_met_nor_missed() -> None:
    assert Row("c", "time", "s", 2.0, None, Goal("ratio", 50)).met is None


def test_the_json_has_what_the_contract_says(tmp_path: Path) -> None:
    rows = [Row("c", "time", "s", 2.0, 100.0, Goal("ratio", 50)), Row("c", "share", "%", 1.5)]
    publish(rows, Options(quick=True, json=tmp_path / "out.json"))
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["rows"][0] == {
        "case": "c",
        "metric": "time",
        "unit": "s",
        "ours": 2.0,
        "baseline": 100.0,
        "ratio": 50.0,
        "target": 50,
        "met": True,
        "note": "",
    }
    nothing_to_compare = {"baseline": None, "ratio": None, "target": None, "met": None}
    assert nothing_to_compare.items() <= document["rows"][1].items()
    assert {"date", "command", "commit", "cpu", "cores", "python"} <= document["machine"].keys()


def test_a_note_is_printed_once_for_all_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row("c", metric, "s", 1.0, note="scaled") for metric in ("one", "two")]
    publish(rows, Options(quick=False, json=None))
    assert capsys.readouterr().out.count("scaled") == 1


def test_every_row_is_in_the_table() -> None:
    assert table([Row("c", f"metric {number}", "s", 1.0) for number in range(7)]).row_count == 7


def test_a_folder_that_is_not_there_is_told_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--json", str(tmp_path / "no" / "out.json")])
    with pytest.raises(SystemExit) as ended:
        options("What it does.", "How to read it.")
    assert ended.value.code == 2
    assert "no such folder" in capsys.readouterr().err
