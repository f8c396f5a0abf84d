"""How many requests a device may send (Golioth: 20 per second)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class RateLimit:
    """A token bucket per device that holds one second's worth of requests.

    ``per_second`` None lets everything through.
    """

    def __init__(
        self, per_second: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # device: (tokens, since)

    def take(self, device_id: str) -> int | None:
        """Count one request: None if it may pass, else whole seconds until one may."""
        if self._per_second is None:
            return None
        capacity = max(1.0, self._per_second)
        now = self._clock()
        tokens, since = self._buckets.get(device_id, (capacity, now))
        tokens = min(capacity, tokens + (now - since) * self._per_second)
        passes = tokens >= 1
        self._buckets[device_id] = (tokens - 1 if passes else tokens, now)
        return None if passes else max(1, math.ceil((1 - tokens) / self._per_second))
