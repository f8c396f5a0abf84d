"""An operator at the device: goes back, tries again, asks why; real processes throughout."""

from __future__ import annotations

import subprocess

import cv2
import numpy as np
import pytest

from demo.stage import EDGEFERRY
from tests.support.json_outputs import read_output
from tests.system.conftest import PATIENCE, Bench

pytestmark = pytest.mark.system


def command(bench: Bench, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EDGEFERRY, *words, "--config", str(bench.device.config)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def start(bench: Bench) -> None:
    bench.device.start("worker")
    bench.device.start("run")


def test_going_back_sticks_until_the_release_is_tried_again(bench: Bench) -> None:
    start(bench)
    for version in ("1", "3"):
        bench.deploy(version)
        left = bench.await_served(version)["active"]["id"]
    went_back = command(bench, "rollback", "--json")
    assert went_back.returncode == 0, went_back.stderr
    answer = read_output(["rollback"], went_back.stdout)
    assert answer["left"]["id"] == left
    assert answer["serves"]["packages"]["ai-model"]["version"] == "1"
    status = bench.await_served("1")
    assert [(r["id"], r["reason"]) for r in status["rejected"]] == [(left, "operator-rollback")]
    agent_socket = bench.device.state_dir / "agent.sock"
    assert agent_socket.stat().st_mode & 0o777 == 0o600

    again = read_output(["retry"], command(bench, "retry", "--json").stdout)
    assert again["said"] == f"release {left} is tried again now"
    served = bench.await_served("3")["active"]["id"]
    loaded = read_output(["reload"], command(bench, "reload", "--json").stdout)
    assert loaded["release"] == served

    nonsense = command(bench, "rollback", "--to", "0123456789abcdef")
    assert nonsense.returncode == 1
    assert "not on this device" in nonsense.stderr
    bench.device.agent.stop()
    nobody = command(bench, "rollback")
    assert nobody.returncode == 1
    assert "start it with `edgeferry run`" in nobody.stderr


def test_why_a_worse_release_was_left_is_told_while_nothing_runs(bench: Bench) -> None:
    # Both colours by turns: what stands still tells nothing about labels out of order.
    for label, colour in (("green", (0, 255, 0)), ("red", (0, 0, 255))):
        folder = bench.folder / "pictures" / label
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "1.png"), np.full((16, 16, 3), colour, np.uint8))
    bench.tables["worker"]["source"] = f"dir:{bench.folder / 'pictures'}"
    bench.tables["update"]["window_frames"] = 100
    bench.device.configure(bench.tables)
    start(bench)
    bench.deploy("1")
    serving = bench.await_served("1")["active"]["id"]
    bench.deploy("reversed", bench.contrary_model("reversed"))
    status = bench.device.await_status(
        "rolled back", lambda s: s["rejected"] and s["state"] == "idle", PATIENCE
    )
    assert status["active"]["id"] == serving
    bench.device.stop()

    story = read_output(["explain"], command(bench, "explain", "--json").stdout)
    assert story["outcome"] == "rolled-back"
    assert story["replaces"]["id"] == serving
    assert [step["state"] for step in story["steps"]][-2:] == ["reporting", "idle"]
    assert story["download"]["fetched_bytes"] > 0
    assert story["trial"]["latency_ms"] > 0
    checks = {check["name"]: check for check in story["window"]["checks"]}
    assert checks["agreement"]["result"] == "failed"
    assert story["window"]["figures"]["comparison"]["compared"] >= 30

    told = command(bench, "explain").stdout
    for words in ("Went back to", serving, "edgeferry retry", "agreement", "FAILED", "No agent"):
        assert words in told, told
    earlier = command(bench, "explain", serving)
    assert "Confirmed" in earlier.stdout
    nothing = command(bench, "explain", "77")
    assert nothing.returncode == 1
    assert "no update 77" in nothing.stderr
