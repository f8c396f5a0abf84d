"""The demo is what a newcomer sees first: it must hold, and say what it measured."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from demo.stage import EDGEFERRY

pytestmark = pytest.mark.system


def test_every_step_of_the_demo_holds(tmp_path: Path) -> None:
    played = subprocess.run(
        (*EDGEFERRY, "demo", "--json", "--dir", str(tmp_path / "demo")),
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert played.returncode == 0, played.stderr
    first, second, refused, resumed, back = json.loads(played.stdout)
    assert all(line["held"] for line in (first, second, refused, resumed, back))
    assert first["accuracy"] < second["accuracy"] == refused["accuracy"]
    assert "label-count-mismatch" in refused["note"]
    assert resumed["received_bytes"] > 400_000
    assert back["received_bytes"] == 0
    assert back["accuracy"] == first["accuracy"]


def test_a_demo_that_is_kept_says_where_to_look_until_it_is_ended(tmp_path: Path) -> None:
    with subprocess.Popen(
        (*EDGEFERRY, "demo", "--keep", "--dir", str(tmp_path / "demo")),
        stdout=subprocess.PIPE,
        text=True,
    ) as playing:
        assert playing.stdout is not None
        lines = iter(playing.stdout.readline, "")
        page = next(line for line in lines if line.startswith("fleet page:"))
        assert "http://127.0.0.1:" in page
        assert any("Ctrl-C ends everything" in line for line in lines)
        playing.send_signal(signal.SIGINT)
        assert playing.wait(60) == 0
