"""The numbers the law goes by. The agent fills them from its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from states.reasons import Transient

MINUTE = 60.0
HOUR = 60 * MINUTE


def no_jitter(_low: float, high: float) -> float:
    """The longest delay of the range, every time."""
    return high


@dataclass(frozen=True)
class Policy:
    """Limits and times, in seconds and bytes.

    ``deadlines`` holds the longest stay per state; Idle and AwaitingRetry have none of their own.
    ``jitter(low, high)`` picks a delay, so that a fleet does not come back in step.
    """

    required_packages: tuple[str, ...] = ("ai-model", "labels")
    largest_release: int = 1 << 30
    first_retry: float = 5.0
    longest_retry: float = HOUR
    attempt_limit: int = 4
    resume_limit: int = 5
    limited: frozenset[Transient] = frozenset({Transient.INTERNAL_ERROR})
    retry_after_start: float = 2.0
    window_frames: int = 30
    window_errors: int = 0
    figures_interval: float = 0.5
    gate_interval: float = 2.0
    deadlines: Mapping[str, float] = field(
        default_factory=lambda: {
            "manifest-received": MINUTE,
            "downloading": 24 * HOUR,
            "verifying": 10 * MINUTE,
            "activating": 2 * MINUTE,
            "confirming": 10 * MINUTE,
            "rolling-back": 2 * MINUTE,
            "reporting": MINUTE,
        }
    )
    jitter: Callable[[float, float], float] = no_jitter

    def retry_delay(self, attempts: int) -> float:
        """Seconds to wait after ``attempts`` earlier failures: doubling, capped, jittered."""
        ceiling = min(self.longest_retry, self.first_retry * 2.0 ** min(attempts, 32))
        return self.jitter(ceiling / 2, ceiling)
