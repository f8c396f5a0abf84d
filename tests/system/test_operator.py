"""An operator at the device: goes back, tries again, asks why; real processes throughout."""

from __future__ import annotations

import pytest

from tests.support.golden import coloured, write_folder
from tests.support.json_outputs import read_output
from tests.support.waiting import PATIENCE
from tests.system.conftest import Bench

pytestmark = pytest.mark.system


def start(bench: Bench) -> None:
    bench.device.start("worker")
    bench.device.start("run")


def test_going_back_sticks_until_the_release_is_tried_again(bench: Bench) -> None:
    start(bench)
    for version in ("1", "3"):
        bench.deploy(version)
        left = bench.await_served(version)["active"]["id"]
    went_back = bench.edgeferry("rollback", "--json")
    assert went_back.returncode == 0, went_back.stderr
    answer = read_output(["rollback"], went_back.stdout)
    assert answer["left"]["id"] == left
    assert answer["serves"]["packages"]["ai-model"]["version"] == "1"
    status = bench.await_served("1")
    assert [(r["id"], r["reason"]) for r in status["rejected"]] == [(left, "operator-rollback")]
    agent_socket = bench.device.state_dir / "agent.sock"
    assert agent_socket.stat().st_mode & 0o777 == 0o600

    again = read_output(["retry"], bench.say("retry", "--json"))
    assert again["said"] == f"release {left} is tried again now"
    served = bench.await_served("3")["active"]["id"]
    loaded = read_output(["reload"], bench.say("reload", "--json"))
    assert loaded["release"] == served

    nonsense = bench.edgeferry("rollback", "--to", "0123456789abcdef")
    assert nonsense.returncode == 1
    assert "not on this device" in nonsense.stderr
    bench.device.agent.stop()
    nobody = bench.edgeferry("rollback")
    assert nobody.returncode == 1
    assert "start it with `edgeferry run`" in nobody.stderr


def test_why_a_worse_release_was_left_is_told_while_nothing_runs(bench: Bench) -> None:
    # Both colours by turns: what stands still tells nothing about labels out of order.
    pictures = write_folder(bench.folder / "pictures", coloured("green", "red", each=1))
    bench.tables["worker"]["source"] = f"dir:{pictures}"
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

    story = read_output(["explain"], bench.say("explain", "--json"))
    assert story["outcome"] == "rolled-back"
    assert story["replaces"]["id"] == serving
    assert [step["state"] for step in story["steps"]][-2:] == ["reporting", "idle"]
    assert story["download"]["fetched_bytes"] > 0
    assert story["trial"]["latency_ms"] > 0
    checks = {check["name"]: check for check in story["window"]["checks"]}
    assert checks["agreement"]["result"] == "failed"
    assert story["window"]["figures"]["comparison"]["compared"] >= 30

    told = bench.say("explain")
    for words in ("Went back to", serving, "edgeferry retry", "agreement", "FAILED", "No agent"):
        assert words in told, told
    earlier = bench.edgeferry("explain", serving)
    assert "Confirmed" in earlier.stdout
    nothing = bench.edgeferry("explain", "77")
    assert nothing.returncode == 1
    assert "no update 77" in nothing.stderr
