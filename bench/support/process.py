"""What a process takes of the machine."""

from __future__ import annotations

from pathlib import Path


def proportional_bytes(pid: int) -> int:
    """Proportional set size: a page that n processes share counts as an n-th of it for each."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024


def children(pid: int) -> list[int]:
    """Processes that it has started and that have not ended."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]
