"""Downloads over a simulated link, in virtual time: the engine's arithmetic without its I/O."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.download.congestion import Congestion
from agent.download.engine import BlockRequest
from agent.download.flights import Flight, Flights
from agent.download.round_trips import RoundTrips

WIRE_BYTES = 1083  # a block of 1024 bytes with CoAP and DTLS
REQUEST = BlockRequest("/model", 0, 6, "", 0)


@dataclass(frozen=True)
class Conditions:
    """``rate`` in bit/s, ``queue`` in bytes; loss for each way; times in seconds."""

    round_trip: float
    rate: float | None = None
    queue: int = 64 * 1024
    loss: float = 0.0
    jitter: float = 0.0
    dead: tuple[float, float] = (0.0, 0.0)


class Time:
    """What happens when."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, event: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (when, self._count, event))

    def run(self, until: float, done: Callable[[], bool] = lambda: False) -> None:
        while self._events and self._events[0][0] <= until and not done():
            self.now, _, event = heapq.heappop(self._events)
            event()


@dataclass
class Bottleneck:
    """The way back of the answers, shared by all flows; the way there is never full."""

    conditions: Conditions
    time: Time
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    free_at: float = 0.0
    queueing: list[tuple[float, float]] = field(default_factory=list)
    dropped: int = 0

    def carry(self, arrive: Callable[[], None]) -> None:
        """An exchange begins: a request now, its answer later or never."""
        c = self.conditions
        self.time.at(self.time.now + c.round_trip / 2, lambda: self._answer(arrive))

    def _answer(self, arrive: Callable[[], None]) -> None:
        c, now = self.conditions, self.time.now
        delivered = (1 - c.loss) ** 2
        if self.chance.random() > delivered or c.dead[0] <= now < c.dead[1]:
            return
        leaves = now
        if c.rate is not None:
            waiting = max(0.0, self.free_at - now)
            if waiting * c.rate / 8 + WIRE_BYTES > c.queue:
                self.dropped += 1
                return
            self.queueing.append((now, waiting))
            leaves = self.free_at = now + waiting + WIRE_BYTES * 8 / c.rate
        self.time.at(leaves + c.round_trip / 2 + c.jitter * self.chance.random(), arrive)


class Flow:
    """One download of ``blocks`` blocks."""

    def __init__(self, time: Time, link: Bottleneck, blocks: int, begins: float = 0.0) -> None:
        self.trips = RoundTrips()
        self.congestion = Congestion(self.trips, 1024)
        self.flights = Flights(self.trips)
        self.missing, self.retransmissions, self.spurious = blocks, 0, 0
        self.arrivals: list[float] = []
        self.windows: list[tuple[float, int]] = []
        self.finished_at = float("inf")
        self._time, self._link, self._blocks, self._heard_at = time, link, blocks, begins
        time.at(begins, self._pump)

    def _pump(self) -> None:
        while self.missing and len(self.flights) < self.congestion.window:
            self.missing -= 1
            flight = Flight(REQUEST, self._time.now)
            self.flights.sent(flight)
            self._link.carry(lambda flight=flight: self._arrived(flight))  # type: ignore[misc]
        self.windows.append((self._time.now, self.congestion.window))
        if (due := self.flights.next_due()) is not None:
            self._time.at(max(due, self._time.now) + 1e-9, self._look)

    def _arrived(self, flight: Flight) -> None:
        now, self._heard_at = self._time.now, self._time.now
        full = len(self.flights) >= self.congestion.window
        if not self.flights.answered(now, flight):
            self.spurious += 1
        self._note_lost(self.flights.take_lost(now))
        self.congestion.answered(now, self.flights.rate, window_full=full)
        self.arrivals.append(now)
        if len(self.arrivals) >= self._blocks and self.finished_at > now:
            self.finished_at = now
        self._pump()

    def _note_lost(self, lost: list[Flight]) -> None:
        for _ in lost:
            self.congestion.lost()
            self.missing += 1
            self.retransmissions += 1

    def _look(self) -> None:
        lost = self.flights.take_lost(self._time.now)
        self._note_lost(lost)
        if lost and self._heard_at < lost[-1].sent_at:
            self._note_lost(self.flights.take_all())
            self.trips.silent()
            self.congestion.silent()
        if lost:
            self._pump()

    def arrived_between(self, begin: float, end: float) -> int:
        return sum(begin <= at < end for at in self.arrivals)


def simulate(
    conditions: Conditions,
    blocks: int = 4096,
    begins: tuple[float, ...] = (0.0,),
    until: float = 600,
) -> tuple[list[Flow], Bottleneck]:
    """Let downloads run until all are finished."""
    time = Time()
    link = Bottleneck(conditions, time)
    flows = [Flow(time, link, blocks, begin) for begin in begins]
    time.run(until, lambda: all(flow.finished_at < float("inf") for flow in flows))
    return flows, link
