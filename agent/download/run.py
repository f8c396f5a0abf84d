"""One run of the download engine.

Everything happens in callbacks of the event loop, in one pass per answer: measure, hand over, send
what now fits. A task or a future per block would cost more than the block itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial

from agent.download.congestion import Congestion
from agent.download.engine import Block, BlockRequest, BlockSource, BlockWork
from agent.download.flights import Flight, Flights, LateAnswers
from agent.download.round_trips import RoundTrips
from agent.download.silence import Patience, Silence
from agent.download.statistics import Throughput
from protocol.errors import LinkError, LinkLost, ProtocolError, TooManyRequests

logger = logging.getLogger(__name__)

# 4.29s in a row, each after slowing down for the last one.
_MAX_REFUSALS = 10
_PAUSE_BEFORE_RECONNECT = 0.05


@dataclass
class Totals:
    """What outlives a run: blocks received, and requests sent again."""

    blocks: int = 0
    retransmissions: int = 0


class Run:
    """One run of the engine: ``finished`` is done, or failed, when it is over."""

    def __init__(
        self,
        source: BlockSource,
        work: BlockWork,
        largest: int,
        patience: Patience,
        totals: Totals,
        throughput: Throughput,
    ) -> None:
        self._source, self._work, self._patience = source, work, patience
        self._totals, self._throughput = totals, throughput
        self._loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[None] = self._loop.create_future()
        self.round_trips = RoundTrips()
        self.congestion = Congestion(self.round_trips, largest)
        self._flights = Flights(self.round_trips)
        self._late = LateAnswers(lambda flight: source.forget_block(flight.token))
        self._again: deque[BlockRequest] = deque()
        self._confirmable = False
        self._non_was_answered = False
        self._has_turn = self._paced = False
        self._refused_at, self._refusals = float("-inf"), 0
        self._waiter: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._pumping = False
        self._silence = Silence(patience, self._loop.time())
        work.on_rest(self._pump_later)
        self._pump_later()

    def stop(self) -> None:
        """Forget everything under way."""
        if self._timer is not None:
            self._timer.cancel()
        if self._waiter is not None:
            self._waiter.cancel()
        for flight in (*self._flights, *self._late):
            self._source.forget_block(flight.token)
        if not self.finished.done():
            self.finished.cancel()

    # Sending.

    def _pump_later(self) -> None:
        self._loop.call_soon(self._guarded, self._pump)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run a step; what it raises ends the run."""
        if self.finished.done():
            return
        try:
            step()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whoever awaits the run gets it
            if not self.finished.done():
                self.finished.set_exception(error)

    def _pump(self) -> None:
        """Send what fits; end the run when there is nothing left."""
        if self._pumping:
            return
        self._pumping = True
        try:
            sent_all = self._waiter is None and self._send_what_fits()
        finally:
            self._pumping = False
        if sent_all and not self._work.busy and not self._is_waiting():
            self.finished.set_result(None)
        else:
            self._arm_timer()

    def _is_waiting(self) -> bool:
        """Whether something under way still matters."""
        return any(self._work.wants(flight.request) for flight in self._flights)

    def _send_what_fits(self) -> bool:
        """Whether there is nothing more to send."""
        while len(self._flights) < self.congestion.window:
            request = self._next_request()
            if request is None and self._paced:
                request = self._once_more()
            if request is None:
                return True
            if not self._take_turn(request):
                self._again.appendleft(request)
                return False
            if not self._send(request):
                return False
        return False

    def _next_request(self) -> BlockRequest | None:
        while self._again:
            request = self._again.popleft()
            if self._work.wants(request):
                return request
        return self._work.take()

    def _once_more(self) -> BlockRequest | None:
        """At the end, turns would pass unused: ask again for what is under way, oldest first.

        Otherwise each of the last losses would cost a timeout.
        """
        for flight in self._flights:
            if not flight.asked_again and self._work.wants(flight.request):
                flight.asked_again = True
                return flight.request
        return None

    def _take_turn(self, request: BlockRequest) -> bool:
        if not self._has_turn and not self._source.block_turn_at_once(request.block_size):
            self._paced = True
            self._wait_beside(self._await_turn(request.block_size))
            return False
        self._has_turn = False
        return True

    def _send(self, request: BlockRequest) -> bool:
        flight = Flight(request, self._loop.time(), self._confirmable)
        self._flights.sent(flight)
        try:
            flight.token = self._source.ask_block(
                request.uri,
                request.number,
                request.size_exponent,
                partial(self._settled, flight),
                confirmable=self._confirmable,
            )
        except ProtocolError as error:
            self._flights.remove(flight)
            self._has_turn = True
            if not isinstance(error, LinkError):
                self._work.failed(request, error)
                return True
            self._again.appendleft(request)
            self._await_link(request, error)
            return False
        return True

    # Waiting.

    def _wait_beside(self, waiting: Coroutine[None, None, None]) -> None:
        def go_on(task: asyncio.Task[None]) -> None:
            task.result()
            self._pump()

        def ended(task: asyncio.Task[None]) -> None:
            self._waiter = None
            if not task.cancelled():
                self._guarded(partial(go_on, task))

        self._waiter = asyncio.ensure_future(waiting)
        self._waiter.add_done_callback(ended)

    async def _await_turn(self, block_size: int) -> None:
        began = self._loop.time()
        await self._source.block_turn(block_size)
        self._has_turn = True
        self._silence.waited(self._loop.time() - began)

    def _await_link(self, request: BlockRequest, error: LinkError) -> None:
        remaining = self._silence.left(self._loop.time())
        if remaining <= 0:
            self._work.failed(request, error)
        elif self._waiter is None:
            self._wait_beside(self._reconnect(request, error, remaining))

    async def _reconnect(self, request: BlockRequest, error: LinkError, seconds: float) -> None:
        logger.info("the link is lost; waiting for it up to %.0f s: %s", seconds, error)
        try:
            async with asyncio.timeout(seconds):
                # The session needs a moment to notice what its requests have noticed.
                await asyncio.sleep(min(_PAUSE_BEFORE_RECONNECT, seconds / 2))
                await self._source.wait_connected()
        except TimeoutError:
            self._work.failed(request, error)
        self.congestion.silent()
        self._silence.link_is_new(self._loop.time())

    # Answers.

    def _settled(self, flight: Flight, outcome: Block | ProtocolError) -> None:
        self._guarded(lambda: self._take_in(flight, outcome))

    def _take_in(self, flight: Flight, outcome: Block | ProtocolError) -> None:
        if isinstance(outcome, LinkError):
            self._unanswered(flight, outcome)
            return
        now = self._loop.time()
        window_full = len(self._flights) >= self.congestion.window
        if not self._flights.answered(now, flight):
            self._late.remove(flight)
        self._silence.ended(now)
        self._non_was_answered |= not flight.confirmable
        self._note_lost(self._flights.take_lost(now))
        self.congestion.answered(now, self._flights.rate, window_full=window_full)
        if isinstance(outcome, ProtocolError):
            self._refused(flight, outcome)
        else:
            self._totals.blocks += 1
            self._refusals = 0
            self._throughput.add(now, len(outcome.payload))
            self._work.deliver(flight.request, outcome)
        self._pump()

    def _refused(self, flight: Flight, error: ProtocolError) -> None:
        if not isinstance(error, TooManyRequests):
            # A server that can't do several at a time ends up being asked one by one.
            self.congestion.refused()
        elif self._is_ridden_out(flight):
            self._again.append(flight.request)
            return
        self._work.failed(flight.request, error)

    def _is_ridden_out(self, flight: Flight) -> bool:
        """The session slows down by itself; what was sent before that says nothing new."""
        if flight.sent_at >= self._refused_at:
            self._refused_at = self._loop.time()
            self._refusals += 1
        return self._refusals <= _MAX_REFUSALS

    def _unanswered(self, flight: Flight, error: LinkError) -> None:
        """The link died, or the server rejected this one message."""
        was_under_way = flight in self._flights
        self._flights.remove(flight)
        self._late.remove(flight)
        if was_under_way:
            self._again.append(flight.request)
        if isinstance(error, LinkLost):
            self._await_link(flight.request, error)
        elif was_under_way:
            self._confirmable = True
            self._check_patience(flight.request, error)
            self.congestion.refused()
            self._pump_later()

    # Losses.

    def _note_lost(self, lost: list[Flight]) -> None:
        for flight in lost:
            self.congestion.lost()
            self._totals.retransmissions += 1
            self._again.append(flight.request)
            self._late.add(flight)

    def _arm_timer(self) -> None:
        due = self._flights.next_due()
        if due is None or (self._timer is not None and self._timer_due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_at(due, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._guarded(self._look_for_losses)

    def _look_for_losses(self) -> None:
        now = self._loop.time()
        lost = self._flights.take_lost(now)
        self._note_lost(lost)
        if lost and self._silence.lasts_since(lost[-1].sent_at):
            self._silent(now, lost[-1].request)
        self._pump()
        self._arm_timer()

    def _silent(self, now: float, request: BlockRequest) -> None:
        """Nothing came for a whole timeout."""
        self._note_lost(self._flights.take_all())
        self.round_trips.silent()
        self.congestion.silent()
        if not self._non_was_answered:
            self._confirmable = not self._confirmable
        self._check_patience(request, LinkError("no answers; try again later"))
        if self._silence.link_is_dead(now):
            self._silence.link_is_new(now)
            self._source.give_up_link(f"no answer for {self._patience.link:g} s")

    def _check_patience(self, request: BlockRequest, error: LinkError) -> None:
        if self._silence.left(self._loop.time()) <= 0:
            self._work.failed(request, error)
