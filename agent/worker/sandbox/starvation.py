"""Whether a process is silent because the machine is too busy to let it run.

That is not the fault of the model in it: while it lasts, the process is given more time.
"""

from __future__ import annotations

import time
from pathlib import Path

LONGER_TIMES = 10
"""How many times as long a process may take that the machine does not let run."""
LOOK_SECONDS = 0.1
"""How often to look whether it still is so."""


def is_starved(pid: int, seconds: float, used_before: float = 0.0) -> bool:
    """Whether a process that had ``seconds`` got less than half of them, and could go on.

    ``used_before`` is its processor time when they began.
    """
    had = processor_seconds(pid) - used_before
    return had < seconds / 2 and waits_for_the_machine(pid)


def processor_seconds(pid: int) -> float:
    """Processor time of all threads of a process; 0 when it is gone."""
    clock = (~pid << 3) | 2  # clock_getcpuclockid(3), which Python does not offer
    try:
        return time.clock_gettime(clock)
    except OSError:
        return 0.0


def waits_for_the_machine(pid: int) -> bool:
    """Whether a thread of it is runnable or waits for a disk, rather than for an event."""
    try:
        tasks = [task / "stat" for task in Path(f"/proc/{pid}/task").iterdir()]
        return any(task.read_text().rpartition(")")[2].split()[0] in "RD" for task in tasks)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except OSError:
        return True  # we are short of something ourselves
