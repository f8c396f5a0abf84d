"""What a run of swaps came to, whoever swapped."""

from __future__ import annotations

from collections.abc import Sequence
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
class Stretch:
    """What the camera felt over some time: milliseconds between results, and frames."""

    gaps: list[float]
    captured: int
    dropped: int

    @property
    def largest_gap(self) -> float:
        """The longest time without a result."""
        return max(self.gaps)

    @classmethod
    def of(cls, parts: Sequence[Stretch]) -> Stretch:
        """All of them together."""
        return cls(
            [gap for part in parts for gap in part.gaps],
            sum(part.captured for part in parts),
            sum(part.dropped for part in parts),
        )


@dataclass(frozen=True)
class Swapping:
    """A run of swaps, and the ``steady`` time before the first. Times in milliseconds."""

    steady: Stretch
    swapping: Stretch
    swap_ms: list[float]

    @property
    def steady_p99(self) -> float:
        """The gap that 99 % of the steady ones stay below."""
        return quantile(self.steady.gaps, 0.99)

    @property
    def unsteadiness(self) -> float:
        """The largest gap while models were swapped, in steady p99s."""
        return self.swapping.largest_gap / self.steady_p99

    @property
    def swap_time(self) -> float:
        """Median from the order to the first picture the new model classified."""
        return median(self.swap_ms)


@dataclass(frozen=True)
class OurSwapping(Swapping):
    """The same of ours. After each swap came as long without one: ``keeping``.

    What only those have that are swapped comes of swaps, the rest of the machine.
    """

    keeping: Stretch
