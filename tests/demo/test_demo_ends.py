"""The demo ends as it is told to, and nothing it started stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from demo.stage import EDGEFERRY, await_that

pytestmark = [pytest.mark.system, pytest.mark.long, pytest.mark.timeout(900)]

PATIENCE = 400.0


def processes_of(folder: Path) -> list[int]:
    """Those that were given a file or folder below it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:  # it has just ended
            continue
        if os.fsencode(f"{folder}/") in words:
            found.append(int(path.parent.name))
    return found


def test_a_demo_that_is_terminated_ends_its_cloud_agent_and_worker(tmp_path: Path) -> None:
    work = tmp_path / "work"
    demo = subprocess.Popen([*EDGEFERRY, "demo", "--dir", str(work)], stdout=subprocess.DEVNULL)
    try:
        await_that("cloud, worker and agent run", lambda: len(processes_of(work)) >= 3, PATIENCE)
    finally:
        demo.send_signal(signal.SIGTERM)
        status = demo.wait(PATIENCE)
    assert status == 128 + signal.SIGINT
    assert processes_of(work) == []
