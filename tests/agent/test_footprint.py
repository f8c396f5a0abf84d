"""What an agent must not need: a small device has memory for one numpy, the worker's."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import agent.daemon, agent.commands.inspection
print(*sorted({"numpy", "cv2", "pandas", "rich", "fastapi"} & set(sys.modules)))
import numpy
print(numpy.arange(3).sum())
"""


def test_the_agent_loads_none_of_the_workers_libraries_and_they_load_after_it() -> None:
    command = (sys.executable, "-c", PROGRAM)
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == "\n3\n"
