"""The hold file: written by the command, by a script, or by somebody's text editor."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from agent.gate import FileGate, read_hold, write_hold
from states.gates import Gates, Hold, Step, TimeWindow


@pytest.mark.parametrize("hold", list(Hold))
def test_a_hold_is_read_as_it_was_written(tmp_path: Path, hold: Hold) -> None:
    write_hold(tmp_path, Hold.EVERYTHING)
    write_hold(tmp_path, hold)
    assert read_hold(tmp_path) is hold


@pytest.mark.parametrize("content", ["", "yes\n", "\udcff", "Activation"])
def test_a_file_nobody_understands_holds_everything(tmp_path: Path, content: str) -> None:
    (tmp_path / "hold").write_bytes(content.encode(errors="surrogateescape"))
    assert read_hold(tmp_path) is Hold.EVERYTHING


def test_the_gate_knows_the_time_and_the_hold(tmp_path: Path) -> None:
    gates = Gates(download=(TimeWindow.parse("22:00-06:00"),))
    noon = FileGate(tmp_path, gates, lambda: datetime(2026, 1, 1, 12, 0))  # noqa: DTZ001
    assert "22:00-06:00" in (noon.closed(Step.DOWNLOAD) or "")
    assert noon.closed(Step.ACTIVATION) is None
    write_hold(tmp_path, Hold.ACTIVATION)
    assert "on hold" in (noon.closed(Step.ACTIVATION) or "")
