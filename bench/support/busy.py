"""A busy machine: one process of ordinary priority on every core that only computes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SPIN = "while True: pass"


@contextmanager
def burners(count: int | None = None) -> Iterator[None]:
    """Keep every core busy, or run so many processes."""
    spinning = [
        subprocess.Popen((sys.executable, "-c", _SPIN)) for _ in range(count or os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()
