"""The numbers the law goes by. The agent fills them from its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from states.reasons import Transient

MINUTE = 60.0
HOUR = 60 * MINUTE


def no_jitter(_low: float, high: float) -> float:
    """The longest delay of the range, every time."""
    return high


@dataclass(frozen=True)
class WindowLimits:
    """What a new release must show in its commit window, and how much worse it may do.

    Shares are of 1, times in seconds or, where the name says so, milliseconds. Every comparison
    has its threshold far outside of what good models differ by: the window is to catch releases
    that are broken, and must never refuse one that is merely different.
    """

    frames: int = 300
    seconds: float = 10 * MINUTE
    least_frames: int = 30
    errors: int = 0
    restarts: int = 2
    latency_ratio: float = 3.0
    latency_slack_ms: float = 20.0
    dropped_share: float = 0.1
    confidence_drop: float = 0.3
    dominant_share: float = 0.98
    varied_share: float = 0.8
    scene_changes: int = 6
    agreement: float = 0.2
    class_shift: float = 0.6

    @property
    def fewest_frames(self) -> int:
        """Frames without which no release is confirmed, however long the window was."""
        return min(self.frames, self.least_frames)


@dataclass(frozen=True)
class Policy:
    """Limits and times, in seconds and bytes.

    ``deadlines`` holds the longest stay per state; Idle and AwaitingRetry have none of their own.
    With ``trusted_keys`` only releases are taken that one of them stands for.
    ``jitter(low, high)`` picks a delay, so that a fleet does not come back in step.
    """

    required_packages: tuple[str, ...] = ("ai-model", "labels")
    trusted_keys: frozenset[str] = frozenset()
    largest_release: int = 1 << 30
    first_retry: float = 5.0
    longest_retry: float = HOUR
    attempt_limit: int = 4
    resume_limit: int = 5
    limited: frozenset[Transient] = frozenset({Transient.INTERNAL_ERROR})
    retry_after_start: float = 2.0
    window: WindowLimits = WindowLimits()
    figures_interval: float = 0.5
    idle_interval: float = 1.0
    looks_before_correction: int = 10
    gate_interval: float = 2.0
    deadlines: Mapping[str, float] = field(
        default_factory=lambda: {
            "manifest-received": MINUTE,
            "downloading": 24 * HOUR,
            "verifying": 10 * MINUTE,
            "activating": 2 * MINUTE,
            "confirming": WindowLimits.seconds,
            "rolling-back": 2 * MINUTE,
            "reporting": MINUTE,
        }
    )
    jitter: Callable[[float, float], float] = no_jitter

    def with_window(self, limits: WindowLimits) -> Policy:
        """The same with other limits of the commit window."""
        deadlines = {**self.deadlines, "confirming": limits.seconds}
        return replace(self, window=limits, deadlines=deadlines)

    def retry_delay(self, attempts: int) -> float:
        """Seconds to wait after ``attempts`` earlier failures: doubling, capped, jittered."""
        ceiling = min(self.longest_retry, self.first_retry * 2.0 ** min(attempts, 32))
        return self.jitter(ceiling / 2, ceiling)


@dataclass
class PolicyInForce:
    """The policy that holds now: replaced as a whole while the machine runs."""

    now: Policy
