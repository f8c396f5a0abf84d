"""Real file systems that are full, or read-only; see the program that is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.small_disk import IN_A_NAMESPACE, namespaces_work

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not namespaces_work(), reason="no namespaces for this user"),
]


@pytest.mark.long
def test_a_device_outlives_a_full_disk_and_a_read_only_one(tmp_path: Path) -> None:
    program = (sys.executable, "-m", "tests.system.on_a_small_disk", str(tmp_path))
    done = subprocess.run([*IN_A_NAMESPACE, *program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
