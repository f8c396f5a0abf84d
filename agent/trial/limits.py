"""How much a trial may take of the device."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class TrialLimits:
    """What a trial may use. Times in seconds, sizes in bytes."""

    wall_seconds: float = 60.0
    cpu_seconds: int = 30
    memory_bytes: int = 1 << 30
    max_model_bytes: int = 256 << 20
    max_side: int = 2048
    """Largest height and width of the model's input."""
    timed_runs: int = 10
    """At most; a slow model is timed less often."""
    golden_pictures: int = 200
    golden_seconds: float = 60.0
    """For the pictures of a golden set, on top of the rest."""

    def with_golden_set(self, num_threads: int) -> TrialLimits:
        """Limits with the time that a golden set may take."""
        return replace(
            self,
            wall_seconds=self.wall_seconds + self.golden_seconds,
            cpu_seconds=self.cpu_seconds + math.ceil(self.golden_seconds) * num_threads,
        )
