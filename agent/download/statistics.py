"""How a download is doing."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_SPAN_SECONDS = 5.0
_SLOT_SECONDS = 0.25


@dataclass(frozen=True)
class DownloadStatistics:
    """Figures of all downloads since the start of the process; times in seconds.

    ``blocks`` and ``retransmissions`` are totals. ``smoothed_rtt`` and ``minimum_rtt`` are None
    until something was answered; ``window`` is how many requests may be under way.
    ``bytes_per_second`` is the payload of the last seconds, 0 when nothing came.
    """

    blocks: int = 0
    retransmissions: int = 0
    smoothed_rtt: float | None = None
    minimum_rtt: float | None = None
    window: int = 0
    bytes_per_second: float = 0.0


class Throughput:
    """Bytes per second over the last seconds; times in seconds of any one clock."""

    def __init__(self) -> None:
        self._slots: deque[tuple[float, int]] = deque()
        self._total = 0

    def add(self, now: float, byte_count: int) -> None:
        """So many bytes came."""
        self._total += byte_count
        if self._slots and now - self._slots[-1][0] < _SLOT_SECONDS:
            began, earlier = self._slots[-1]
            self._slots[-1] = began, earlier + byte_count
        else:
            self._slots.append((now, byte_count))
            self._drop_old(now)

    def rate(self, now: float) -> float:
        """Bytes per second now."""
        self._drop_old(now)
        if not self._slots:
            return 0.0
        return self._total / max(_SLOT_SECONDS, now - self._slots[0][0])

    def _drop_old(self, now: float) -> None:
        while self._slots and now - self._slots[0][0] > _SPAN_SECONDS:
            self._total -= self._slots.popleft()[1]
