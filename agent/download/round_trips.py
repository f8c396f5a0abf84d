"""What answers tell about the link's delay. Pure: times go in, in seconds.

Each request has a token of its own, so every answer is a valid measurement, of a retransmitted
block as well (RFC 6298, 3 has to discard those because TCP can't tell).
"""

from __future__ import annotations

_FIRST_TIMEOUT = 1.0  # RFC 6298, 2.1
_SHORTEST_MARGIN = 0.2  # above the smoothed round trip: a queue may build up that quickly
_LONGEST_TIMEOUT = 5.0
# A span of recent answers is closed after half a round trip and at least so many.
_SPAN_ANSWERS = 4


class RoundTrips:
    """Round trip estimates of one link.

    ``smoothed`` and ``variation`` are RFC 6298's, ``minimum`` the shortest so far: the link without
    any queue. ``recent`` is the shortest of the last round trip or so: what queues now is in it,
    but neither jitter nor a moment's hiccup.
    """

    def __init__(self) -> None:
        self.smoothed: float | None = None
        self.variation = 0.0
        self.latest = 0.0
        self.minimum = float("inf")
        self._back_off = 1.0
        self._span_began = 0.0
        self._span_answers = 0
        self._span_shortest = float("inf")
        self._last_span_shortest = float("inf")

    @property
    def recent(self) -> float:
        """The shortest of the last round trip or so."""
        return min(self._span_shortest, self._last_span_shortest)

    @property
    def queueing(self) -> float:
        """Seconds that requests and answers spend in queues now."""
        return 0.0 if self.smoothed is None else self.recent - self.minimum

    @property
    def timeout(self) -> float:
        """How long to wait for an answer (RFC 6298, 2), doubled for each silence."""
        if self.smoothed is None:
            waiting = _FIRST_TIMEOUT
        else:
            waiting = self.smoothed + max(_SHORTEST_MARGIN, 4 * self.variation)
        return min(_LONGEST_TIMEOUT, waiting * self._back_off)

    def measured(self, now: float, seconds: float) -> None:
        """An answer came after so long."""
        self._back_off = 1.0
        self.latest = seconds
        if self.smoothed is None:
            self.smoothed, self.variation = seconds, seconds / 2
        else:
            self.variation += (abs(self.smoothed - seconds) - self.variation) / 4
            self.smoothed += (seconds - self.smoothed) / 8
        self.minimum = min(self.minimum, seconds)
        if self._span_answers >= _SPAN_ANSWERS and now - self._span_began >= self.smoothed / 2:
            self._last_span_shortest = self._span_shortest
            self._span_began, self._span_answers = now, 0
            self._span_shortest = seconds
        self._span_answers += 1
        self._span_shortest = min(self._span_shortest, seconds)

    def silent(self) -> None:
        """Nothing came within the timeout: the next one is longer (RFC 6298, 5.5)."""
        self._back_off = min(self._back_off * 2, _LONGEST_TIMEOUT / _SHORTEST_MARGIN)
