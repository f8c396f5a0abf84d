"""The clock by which the journal measures waits that outlive the agent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BootClock:
    """Time that a wrong wall clock can't bend; comparable only within one boot."""

    boot_id: str
    now: Callable[[], float]

    @classmethod
    def of_this_machine(cls) -> BootClock:
        """The kernel's boot id and CLOCK_BOOTTIME, which counts suspended time too."""
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return cls(boot_id, lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
