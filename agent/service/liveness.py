"""Whether the update under way can still get on: what the watchdog is kept quiet by.

A restart costs little, for the journal resumes the update, but it mends only what hangs in this
process. So nothing counts as a hang that the agent waits for knowingly: no link, a closed gate, a
worker that is away, a disk that is full. What remains are steps that outlive their own deadline and
downloads that get nothing across over a healthy link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GRACE_SECONDS = 120.0
"""What a step may take beyond its deadline to be ended: a blocking call is waited for."""
STALL_SECONDS = 600.0
"""Longest silence of a download on a healthy link; a block's own retries end long before."""
MOST_DOUBLINGS = 6


@dataclass(frozen=True)
class Sight:
    """The agent at one moment. ``step`` counts what the conductor has begun."""

    step: int
    state: str
    resumes: int
    connected: bool
    fetched_bytes: int


class Liveness:
    """Compares the agent with what it was before. Times are monotonic seconds."""

    def __init__(
        self, deadlines: Mapping[str, float], stall_seconds: float = STALL_SECONDS
    ) -> None:
        self._deadlines = deadlines
        self.stall_seconds = stall_seconds
        """May change with the caps that it follows from."""
        self._step: tuple[int, str] | None = None
        self._step_began = 0.0
        self._download: tuple[int, bool, int] | None = None
        self._download_moved = 0.0

    def trouble(self, sight: Sight, now: float) -> str | None:
        """What hangs, for people, or None."""
        if (sight.step, sight.state) != self._step:
            self._step, self._step_began = (sight.step, sight.state), now
        download = (sight.step, sight.connected, sight.fetched_bytes)
        if download != self._download:
            self._download, self._download_moved = download, now
        return self._overdue(sight, now) or self._stalled(sight, now)

    def _overdue(self, sight: Sight, now: float) -> str | None:
        deadline = self._deadlines.get(sight.state)
        if deadline is None or now - self._step_began <= deadline + GRACE_SECONDS:
            return None
        return f"{sight.state} goes on beyond its deadline of {deadline:g} s"

    def _stalled(self, sight: Sight, now: float) -> str | None:
        if sight.state != "downloading" or not sight.connected:
            return None
        # Where a restart did not help, the next one is put off: never a loop of restarts.
        patience = self.stall_seconds * 2.0 ** min(sight.resumes, MOST_DOUBLINGS)
        if now - self._download_moved <= patience:
            return None
        return f"nothing was downloaded for {patience:g} s though the link is up"


def stall_seconds(bytes_per_second: int, requests_per_second: float) -> float:
    """How long a download may be silent under these caps; 0 stands for none."""
    blocks_per_second = [requests_per_second] if requests_per_second else []
    if bytes_per_second:
        blocks_per_second.append(bytes_per_second / 1200)
    return max([STALL_SECONDS, *(10 / rate for rate in blocks_per_second)])
