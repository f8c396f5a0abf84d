"""Other ways to run it: an inference script of one's own, and everything from one command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.stage import Document
from tests.support.waiting import PATIENCE
from tests.system.conftest import Bench

pytestmark = pytest.mark.system

SCRIPT = Path(__file__).parents[1] / "agent" / "worker" / "original_style_inference.py"


@contextmanager
def original_script(state_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """An inference script that knows nothing of Edgeferry, running on the state folder."""
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), str(state_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def answer_to_a_frame(process: subprocess.Popen[str]) -> str:
    """What the script makes of the next frame, whatever it prints before about reloading."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("frame\n")
    process.stdin.flush()
    line = process.stdout.readline().strip()
    while line.startswith("MODEL"):
        line = process.stdout.readline().strip()
    return line


def active_version(version: str) -> Callable[[Document], bool]:
    def holds(status: Document) -> bool:
        active = status["active"]
        settled = status["state"] == "idle"
        return bool(settled and active and active["packages"]["ai-model"]["version"] == version)

    return holds


def test_an_unmodified_script_gets_pairs_by_signal(bench: Bench) -> None:
    bench.use_signal_worker("inference.pid")
    bench.device.start("run")
    bench.deploy("1")
    bench.device.await_status("in place", lambda s: s["state"] == "confirming", PATIENCE)
    with original_script(bench.device.state_dir) as script:
        bench.device.await_status("1", active_version("1"), PATIENCE)
        assert answer_to_a_frame(script) == "red"
        contrary = bench.contrary_model("reversed")
        bench.deploy("reversed", contrary)
        bench.device.await_status("reversed", active_version("reversed"), PATIENCE)
        assert answer_to_a_frame(script) == "green"
        bench.deploy("1")
        bench.device.await_status("1 again", active_version("1"), PATIENCE)
        assert answer_to_a_frame(script) == "red"
    models = bench.device.state_dir / "models"
    assert (models / "version.txt").read_text().strip() == "1"
    assert (models / "ai-model_reversed.tflite").read_bytes() == contrary.read_bytes()


def test_one_command_starts_agent_and_worker(bench: Bench) -> None:
    pair = bench.device.start("run", options=("--with-worker",))
    bench.deploy("1")
    bench.await_served("1")
    assert pair.stop() == 0
    status = bench.device.inspect(lambda inspector: inspector.status())
    assert status["worker"]["state"] == "away", "the worker ends with the agent"
