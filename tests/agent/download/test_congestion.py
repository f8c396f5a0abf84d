"""The window and the loss detection, in virtual time over a simulated link."""

from __future__ import annotations

import pytest

from agent.download.congestion import INITIAL_WINDOW, Congestion
from agent.download.engine import BlockRequest
from agent.download.flights import Flight, Flights
from agent.download.round_trips import RoundTrips
from tests.support.simulated_link import WIRE_BYTES, Conditions, simulate

LARGE_QUEUE = 4 << 20


def seconds_at_capacity(blocks: int, rate: float) -> float:
    return blocks * WIRE_BYTES * 8 / rate


# Capacity.


@pytest.mark.parametrize(
    ("round_trip", "rate", "blocks", "share"),
    [
        (0.02, 1e6, 410, 0.97),
        (0.1, 1e6, 410, 0.95),
        (0.2, 1e6, 410, 0.87),
        (0.02, 10e6, 4096, 0.95),
        (0.1, 10e6, 4096, 0.9),
        (0.2, 10e6, 4096, 0.8),
        (0.02, 24e6, 4096, 0.92),
        (0.05, 24e6, 4096, 0.85),
        (0.1, 24e6, 4096, 0.75),
        (0.2, 24e6, 4096, 0.55),
    ],
)
def test_the_capacity_of_a_link_is_found_in_a_few_round_trips(
    round_trip: float, rate: float, blocks: int, share: float
) -> None:
    (flow,), _ = simulate(Conditions(round_trip, rate, LARGE_QUEUE), blocks)
    assert seconds_at_capacity(blocks, rate) / flow.finished_at >= share
    assert flow.retransmissions == 0


@pytest.mark.parametrize("loss", [0.01, 0.05])
@pytest.mark.parametrize("jitter", [0.0, 0.02])
def test_random_loss_with_an_empty_queue_is_no_congestion(loss: float, jitter: float) -> None:
    conditions = Conditions(0.05, 24e6, LARGE_QUEUE, loss=loss, jitter=jitter)
    (flow,), _ = simulate(conditions)
    lost = 1 - (1 - loss) ** 2
    assert seconds_at_capacity(4096, 24e6) / flow.finished_at >= 0.65
    assert flow.retransmissions <= 4096 * lost / (1 - lost) * 1.4
    assert flow.spurious <= 20


@pytest.mark.parametrize("queue_blocks", [8, 16, 32])
def test_a_short_buffer_costs_little(queue_blocks: int) -> None:
    (flow,), link = simulate(Conditions(0.1, 10e6, queue_blocks * 1100))
    assert seconds_at_capacity(4096, 10e6) / flow.finished_at >= 0.55
    assert link.dropped <= 0.2 * 4096


@pytest.mark.parametrize("conditions", [Conditions(0.1, 1e6), Conditions(0.1, 10e6, LARGE_QUEUE)])
def test_the_queue_stays_short_once_the_link_is_known(conditions: Conditions) -> None:
    _, link = simulate(conditions, 4096)
    assert max(waited for at, waited in link.queueing if at > 2.0) <= 0.09


# Sharing.


@pytest.mark.parametrize("round_trip", [0.02, 0.05, 0.1, 0.2])
@pytest.mark.parametrize("later", [0.0, 1.5, 5.0])
def test_two_downloads_share_a_link(round_trip: float, later: float) -> None:
    conditions = Conditions(round_trip, 1e6, LARGE_QUEUE)
    flows, link = simulate(conditions, 800, (0.0, later))
    until = min(flow.finished_at for flow in flows)
    taken = [flow.arrived_between(later, until) for flow in flows]
    assert min(taken) / sum(taken) >= 0.3
    delays = sorted(waited for _, waited in link.queueing)
    assert delays[len(delays) * 95 // 100] <= (0.2 if round_trip <= 0.1 else 0.3)


def test_a_link_that_was_left_by_another_is_used_up_again() -> None:
    flows, _ = simulate(Conditions(0.05, 10e6, LARGE_QUEUE), 4096, (0.0, 0.0))
    first, last = sorted(flow.finished_at for flow in flows)
    slower = max(flows, key=lambda flow: flow.finished_at)
    alone = slower.arrived_between(first + 0.5, last)
    assert alone * WIRE_BYTES * 8 / 10e6 >= 0.85 * (last - first - 0.5)


# Bad times.


def test_after_silence_the_window_is_small_and_the_link_found_again() -> None:
    (flow,), _ = simulate(Conditions(0.05, 24e6, LARGE_QUEUE, dead=(0.5, 3.0)))
    during = [window for at, window in flow.windows if 1.5 < at < 3.0]
    assert max(during) <= 2
    sent_meanwhile = len(during)
    assert 1 <= sent_meanwhile <= 10
    assert flow.finished_at <= 3.0 + 5.0


def test_the_window_never_leaves_its_limits() -> None:
    for largest in (1, 3, 50):
        trips = RoundTrips()
        congestion = Congestion(trips, largest)
        assert congestion.window == min(INITIAL_WINDOW, largest)
        for number in range(2000):
            trips.measured(number * 0.01, 0.05 + (number % 7) * 0.1)
            congestion.answered(number * 0.01, 100.0, window_full=True)
            if number % 3 == 0:
                congestion.lost()
            if number % 97 == 0:
                congestion.silent()
            if number % 31 == 0:
                congestion.refused()
            assert 1 <= congestion.window <= largest


def test_a_window_that_nobody_fills_does_not_grow() -> None:
    trips = RoundTrips()
    congestion = Congestion(trips, 1000)
    for number in range(1000):
        trips.measured(number * 0.05, 0.1)
        congestion.answered(number * 0.05, 20.0, window_full=False)
    assert congestion.window == INITIAL_WINDOW


# Round trips and losses.


def test_the_timeout_follows_rfc_6298() -> None:
    trips = RoundTrips()
    assert trips.timeout == 1.0
    trips.measured(0.0, 0.4)
    assert (trips.smoothed, trips.variation) == (0.4, 0.2)
    assert trips.timeout == pytest.approx(0.4 + 4 * 0.2)
    trips.measured(0.5, 0.2)
    assert trips.variation == pytest.approx(0.75 * 0.2 + 0.25 * 0.2)
    assert trips.smoothed == pytest.approx(0.875 * 0.4 + 0.125 * 0.2)


def test_silence_doubles_the_timeout_up_to_a_limit_and_an_answer_ends_that() -> None:
    trips = RoundTrips()
    timeouts = []
    for _ in range(5):
        timeouts.append(trips.timeout)
        trips.silent()
    assert timeouts == [1.0, 2.0, 4.0, 5.0, 5.0]
    trips.measured(0.0, 0.1)
    assert trips.timeout < 1.0


def request(number: int) -> BlockRequest:
    return BlockRequest("/model", number, 6, "", 0)


def test_a_request_that_later_ones_overtake_is_lost_long_before_its_timeout() -> None:
    flights = Flights(RoundTrips())
    sent = [Flight(request(number), number * 0.001) for number in range(5)]
    for flight in sent:
        flights.sent(flight)
    assert flights.answered(0.102, sent[2])
    assert flights.take_lost(0.103) == []
    # A quarter of the round trip for those that come out of order.
    assert flights.take_lost(0.128) == sent[:2]
    assert len(flights) == 2
    assert flights.take_lost(0.2) == []
    due = flights.next_due()
    assert due is not None
    assert flights.take_lost(due) == [sent[3]]


def test_an_answer_after_all_makes_it_more_patient() -> None:
    flights = Flights(RoundTrips())
    early, late = Flight(request(0), 0.0), Flight(request(1), 0.001)
    flights.sent(early)
    flights.sent(late)
    assert flights.answered(0.101, late)
    assert flights.take_lost(0.126) == [early]
    assert not flights.answered(0.14, early)
    again, later = Flight(request(2), 0.2), Flight(request(3), 0.201)
    flights.sent(again)
    flights.sent(later)
    assert flights.answered(0.301, later)
    assert flights.take_lost(0.33) == []
    assert flights.answered(0.34, again)
