"""What ``make prove`` runs, and what each part answers with."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True)
class Budget:
    """Time for a part, in seconds from its beginning; 0 for all it takes."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> bool:
        """Whether the part should come to its end."""
        return bool(self.seconds) and time.monotonic() - self.began > self.seconds


@dataclass
class Proof:
    """What a part found. It holds when nothing is in ``broken``."""

    wanted: int
    """Cases of the full run."""
    done: int = 0
    broken: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """What became of the cases, for people."""
    notes: list[str] = field(default_factory=list)
    summary: str = ""
    """What belongs into the last line of all beside the number of cases."""

    @property
    def holds(self) -> bool:
        """Whether everything that was tried was as it should be, and something was tried."""
        return self.done > 0 and not self.broken


Progress: TypeAlias = Callable[[int, int], None]
"""Called with (cases done, cases wanted)."""


@dataclass(frozen=True)
class Part:
    """One thing to prove. ``run`` gets an empty folder of its own."""

    name: str
    about: str
    run: Callable[[Path, Budget, Progress], Awaitable[Proof]]
    asked_for: bool = False
    """Whether it is run only when it is named."""


def all_parts() -> tuple[Part, ...]:
    """Every part, in the order they are run; add yours here."""
    from tests.prove.crash_states import parts as crash_states
    from tests.prove.faults import parts as faults
    from tests.prove.good_models import parts as good_models
    from tests.prove.hostile_input import parts as hostile_input
    from tests.prove.kill_sweep import parts as kill_sweep
    from tests.prove.link_chaos import parts as link_chaos
    from tests.prove.month import parts as month
    from tests.prove.mutated_releases import parts as mutated_releases
    from tests.prove.power_cuts import parts as power_cuts
    from tests.prove.soak import parts as soak
    from tests.prove.surroundings import parts as surroundings

    return (
        *good_models(),
        *mutated_releases(),
        *link_chaos(),
        *crash_states(),
        *faults(),
        *surroundings(),
        *hostile_input(),
        *kill_sweep(),
        *soak(),
        *month(),
        *power_cuts(),
    )
