"""One agent per state directory, with real processes."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store import lock
from agent.store.lock import LOCK_FILE, StateDirectoryBusy, is_locked, lock_state_dir

HOLD_THE_LOCK = """
import sys
from pathlib import Path
from agent.store.lock import lock_state_dir
with lock_state_dir(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(state_dir: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(state_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_agent_is_refused_by_the_number_of_the_first(
    holder: subprocess.Popen[str], state_dir: Path
) -> None:
    with (
        pytest.raises(StateDirectoryBusy, match=f"process {holder.pid}") as raised,
        lock_state_dir(state_dir),
    ):
        pass
    assert raised.value.pid == holder.pid


def test_whoever_looks_sees_an_agent_and_does_not_keep_one_from_starting(
    holder: subprocess.Popen[str], state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_locked(state_dir)
    holder.kill()
    holder.wait()
    assert not is_locked(state_dir)
    looking = os.open(state_dir / LOCK_FILE, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(lock, "sleep", lambda _seconds: os.close(looking))
    with lock_state_dir(state_dir):
        assert is_locked(state_dir)


def test_nobody_holds_a_folder_in_which_no_agent_has_run(state_dir: Path) -> None:
    assert not is_locked(state_dir)


def test_a_killed_agent_leaves_no_lock_behind(
    holder: subprocess.Popen[str], state_dir: Path
) -> None:
    holder.kill()
    holder.wait()
    with lock_state_dir(state_dir):
        assert state_dir.is_dir()
    with lock_state_dir(state_dir):
        pass
