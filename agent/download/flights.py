"""The requests under way, and which of them are lost. Pure: times go in, in seconds.

A request counts as lost when one that was sent later has been answered and it still has not, a
moment after the time that answer took (as RACK, RFC 8985, 6.2); the last ones, which nothing
follows, when the retransmission timeout is over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agent.download.engine import BlockRequest
from agent.download.round_trips import RoundTrips

_SHORTEST_REORDERING = 0.01
_REORDERING_SHARE = 1 / 4  # of the shortest round trip (RFC 8985, 6.2)
_LARGEST_REORDERING = 8
_LATE_ANSWERS = 2048


@dataclass(eq=False, slots=True)
class Flight:
    """One request on the link. ``token`` is the source's name for it."""

    request: BlockRequest
    sent_at: float
    confirmable: bool = False
    token: bytes = b""
    answers_before: int = 0
    asked_again: bool = False


class Flights:
    """Requests in the order they were sent. ``rate`` is the answers per second of late."""

    def __init__(self, round_trips: RoundTrips) -> None:
        self._round_trips = round_trips
        self._under_way: dict[Flight, None] = {}
        self._newest_answered = float("-inf")
        self._last_round_trip = 0.0
        self._tolerance = 1
        self._answers = 0
        self.rate = 0.0

    def __len__(self) -> int:
        return len(self._under_way)

    def __contains__(self, flight: Flight) -> bool:
        return flight in self._under_way

    def __iter__(self) -> Iterator[Flight]:
        return iter(list(self._under_way))

    def sent(self, flight: Flight) -> None:
        """A request was put on the link."""
        flight.answers_before = self._answers
        self._under_way[flight] = None

    def answered(self, now: float, flight: Flight) -> bool:
        """An answer came; False if the request had been taken for lost by mistake."""
        round_trip = now - flight.sent_at
        self._round_trips.measured(now, round_trip)
        self._answers += 1
        # What came while this one was on its way came at the rate of the narrowest place.
        self.rate = (self._answers - flight.answers_before) / max(round_trip, 1e-6)
        if flight.sent_at >= self._newest_answered:
            self._newest_answered, self._last_round_trip = flight.sent_at, round_trip
        if self._under_way.pop(flight, flight) is None:
            return True
        self._tolerance = min(_LARGEST_REORDERING, self._tolerance + 1)
        return False

    def remove(self, flight: Flight) -> None:
        """Nothing will come of it."""
        self._under_way.pop(flight, None)

    def take_lost(self, now: float) -> list[Flight]:
        """Remove and return those that are lost by now."""
        lost = []
        for flight in self._under_way:
            if self._due(flight) > now:
                break
            lost.append(flight)
        for flight in lost:
            del self._under_way[flight]
        return lost

    def take_all(self) -> list[Flight]:
        """Remove and return all: there was nothing but silence."""
        lost = list(self._under_way)
        self._under_way.clear()
        return lost

    def next_due(self) -> float | None:
        """When the next one may be lost, None if nothing is under way."""
        oldest = next(iter(self._under_way), None)
        return None if oldest is None else self._due(oldest)

    def _due(self, flight: Flight) -> float:
        timeout = flight.sent_at + self._round_trips.timeout
        if flight.sent_at >= self._newest_answered:
            return timeout
        return min(timeout, flight.sent_at + self._last_round_trip + self._reordering())

    def _reordering(self) -> float:
        trips = self._round_trips
        window = max(_SHORTEST_REORDERING, trips.minimum * _REORDERING_SHARE)
        return window * self._tolerance


class LateAnswers:
    """Requests taken for lost whose answers may still come; the oldest of too many are forgotten.

    ``forget`` is told of those.
    """

    def __init__(self, forget: Callable[[Flight], None]) -> None:
        self._forget = forget
        self._awaited: OrderedDict[Flight, None] = OrderedDict()

    def __iter__(self) -> Iterator[Flight]:
        return iter(list(self._awaited))

    def add(self, flight: Flight) -> None:
        """An answer would still be welcome."""
        self._awaited[flight] = None
        while len(self._awaited) > _LATE_ANSWERS:
            forgotten, _ = self._awaited.popitem(last=False)
            self._forget(forgotten)

    def remove(self, flight: Flight) -> None:
        """It came, or nothing will come of it."""
        self._awaited.pop(flight, None)
