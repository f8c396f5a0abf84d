"""The demo is what a newcomer sees first: it must hold, and say what it measured."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from demo.stage import EDGEFERRY
from tests.support.json_outputs import read_output

pytestmark = pytest.mark.system

REFUSED = (
    "label-count-mismatch: the model has 3 outputs",
    "golden-set-failed: golden set: it answers 'oranges' to all 40 pictures",
    "commit-window-failed: says 'oranges' to 100% of the frames",
    "commit-window-failed: the worker went back to",
)


@pytest.mark.timeout(400)
def test_every_step_of_the_demo_holds_and_it_can_be_kept_until_ctrl_c(tmp_path: Path) -> None:
    with subprocess.Popen(
        (*EDGEFERRY, "demo", "--json", "--keep", "--dir", str(tmp_path / "demo")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as playing:
        assert playing.stderr is not None
        told = iter(playing.stderr.readline, "")
        try:
            shown = list(iter(told.__next__, "Commit window\n"))
            assert any("Went back to" in line for line in shown)
            collapsed = next(line for line in told if "most frequent class" in line)
            assert "FAILED" in collapsed
            page = next(line for line in told if line.startswith("console:"))
            assert "http://127.0.0.1:" in page
            assert any("Ctrl-C ends everything" in line for line in told)
        finally:
            playing.send_signal(signal.SIGINT)
            printed, _ = playing.communicate(timeout=60)
        assert playing.returncode == 0
    lines = read_output(["demo"], printed)
    assert all(line["held"] for line in lines)
    first, second, *refused, resumed, back = lines
    assert first["accuracy"] < second["accuracy"]
    for line, reason in zip(refused, REFUSED, strict=True):
        assert reason in line["note"]
        assert line["accuracy"] == second["accuracy"]
    assert resumed["received_bytes"] > 400_000
    assert back["received_bytes"] == 0
    assert back["accuracy"] == first["accuracy"]
