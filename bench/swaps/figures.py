"""What a run of swaps came to, whoever swapped."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from bench.support.quantiles import quantile


@dataclass(frozen=True)
class Scale:
    """How much of it: swaps, the pause between two of them, and the time before the first."""

    swaps: int
    pause_seconds: float
    steady_seconds: float
    frames_per_second: float = 30.0


@dataclass(frozen=True)
class Swapping:
    """A run of swaps. Times in milliseconds; ``steady_gaps`` are between results before the first.

    ``captured`` and ``dropped`` count frames from the first swap on.
    """

    steady_gaps: list[float]
    gaps: list[float]
    swap_ms: list[float]
    captured: int
    dropped: int
    steady_dropped: int

    @property
    def steady_p99(self) -> float:
        """The gap that 99 % of the steady ones stay below."""
        return quantile(self.steady_gaps, 0.99)

    @property
    def largest_gap(self) -> float:
        """The longest time without a result while models were swapped."""
        return max(self.gaps)

    @property
    def unsteadiness(self) -> float:
        """The largest gap in steady p99s."""
        return self.largest_gap / self.steady_p99

    @property
    def swap_time(self) -> float:
        """Median from the order to the first picture the new model classified."""
        return median(self.swap_ms)
