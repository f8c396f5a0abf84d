"""An unmodified inference script as the worker: real process, real signal, real links."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.worker_port.signal import SignalWorker
from states.ports import Postponed
from states.reasons import Transient

SCRIPT = """
import os, signal, sys, time
pid_file = sys.argv[1]
def reload(*_):
    print("reload", flush=True)
signal.signal(signal.SIGUSR1, reload)
open(pid_file, "w").write(str(os.getpid()))
print("ready", flush=True)
while True:
    time.sleep(60)
"""


@pytest.fixture
def pid_file(tmp_path: Path) -> Path:
    return tmp_path / "worker.pid"


@pytest.fixture
def script(pid_file: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(pid_file)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


async def test_a_switch_is_one_signal_to_the_script(
    script: subprocess.Popen[str], pid_file: Path
) -> None:
    worker = SignalWorker(pid_file, lambda: "r1")
    await worker.prepare("r1")
    await worker.commit("r1", watch=True)
    assert script.stdout is not None
    assert await asyncio.to_thread(script.stdout.readline) == "reload\n"


async def test_every_look_at_a_living_script_counts_as_a_frame(
    script: subprocess.Popen[str], pid_file: Path
) -> None:
    worker = SignalWorker(pid_file, lambda: "r1")
    await worker.commit("r1", watch=True)
    seen = [await worker.figures() for _ in range(3)]
    assert [figures.classified for figures in seen] == [1, 2, 3]
    assert {figures.serving for figures in seen} == {"r1"}


async def test_a_dead_script_is_away(script: subprocess.Popen[str], pid_file: Path) -> None:
    script.send_signal(signal.SIGKILL)
    script.wait()
    with pytest.raises(Postponed, match="is it running") as caught:
        await SignalWorker(pid_file, lambda: None).figures()
    assert caught.value.reason is Transient.WORKER_AWAY


@pytest.mark.parametrize("content", ["", "no number", "0", "-1", "1"])
async def test_a_pid_file_that_names_no_script_never_signals_anything(
    pid_file: Path, content: str
) -> None:
    await asyncio.to_thread(pid_file.write_text, content)
    with pytest.raises(Postponed):
        await SignalWorker(pid_file, lambda: None).figures()


async def test_a_script_that_waits_for_its_first_model_holds_nothing_up(pid_file: Path) -> None:
    worker = SignalWorker(pid_file, lambda: "r1")
    await worker.prepare("r1")
    await worker.commit("r1", watch=True)
    with pytest.raises(Postponed, match=str(os.fspath(pid_file))):
        await worker.figures()


async def test_a_script_of_another_user_is_said_to_be_one(
    script: subprocess.Popen[str], pid_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_pid: int, _number: int) -> None:
        raise PermissionError(1, "Operation not permitted")  # which root's tests never meet

    monkeypatch.setattr(os, "kill", refused)
    with pytest.raises(Postponed, match="run the inference script as the agent's user"):
        await SignalWorker(pid_file, lambda: None).figures()
