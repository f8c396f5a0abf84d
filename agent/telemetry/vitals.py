"""How the device itself does, as Linux tells it; what this kernel does not tell is null.

Six figures from files that every Linux has: no reason for psutil, which has no wheel for 32-bit ARM
and would have to be compiled there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from agent.store.files import free_bytes
from agent.worker.engines.memory import Machine

_THERMAL = Path("/sys/class/thermal")
Figure = TypeVar("Figure")


def vitals(state_dir: Path, *, thermal: Path = _THERMAL) -> dict[str, float | int | None]:
    """Load, memory, room on the state folder's disk, the hottest sensor, and time since boot."""
    return {
        "load1": _told(lambda: round(os.getloadavg()[0], 2)),
        "memory_available_bytes": _told(Machine().available),
        "disk_free_bytes": _told(lambda: free_bytes(state_dir)),
        "temperature_c": _told(lambda: max(_temperatures(thermal), default=None)),
        "uptime_s": int(time.clock_gettime(time.CLOCK_BOOTTIME)),
    }


def _told(look: Callable[[], Figure]) -> Figure | None:
    try:
        return look()
    except OSError:
        return None


def _temperatures(thermal: Path) -> Iterator[float]:
    for sensor in thermal.glob("thermal_zone*/temp"):
        try:
            yield int(sensor.read_text()) / 1000
        except (OSError, ValueError):
            continue  # a sensor that is switched off
