"""An operator at the device: goes back, tries again, asks why; real processes throughout."""

from __future__ import annotations

import json
import subprocess

import pytest

from demo.stage import EDGEFERRY
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
    answer = json.loads(went_back.stdout)
    assert answer["left"]["id"] == left
    assert answer["serves"]["packages"]["ai-model"]["version"] == "1"
    status = bench.await_served("1")
    assert [(r["id"], r["reason"]) for r in status["rejected"]] == [(left, "operator-rollback")]
    agent_socket = bench.device.state_dir / "agent.sock"
    assert agent_socket.stat().st_mode & 0o777 == 0o600

    again = command(bench, "retry")
    assert again.stdout == f"release {left} is tried again now\n"
    bench.await_served("3")

    nonsense = command(bench, "rollback", "--to", "0123456789abcdef")
    assert nonsense.returncode == 1
    assert "not on this device" in nonsense.stderr
    bench.device.agent.stop()
    nobody = command(bench, "rollback")
    assert nobody.returncode == 1
    assert "start it with `edgeferry run`" in nobody.stderr
