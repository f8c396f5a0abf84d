from __future__ import annotations

import dataclasses

import pytest

from bench.support.conditions import HEADER_BYTES, Conditions, Way
from bench.support.impairment import Impairment

DATAGRAMS = [number.to_bytes(4, "big") * 10 for number in range(2000)]


def departures(way: Way, seed: str = "7 up", interval: float = 0.0) -> list[tuple[float, bytes]]:
    impairment = Impairment(way, seed)
    return [
        departure
        for number, datagram in enumerate(DATAGRAMS)
        for departure in impairment.offer(number * interval, datagram)
    ]


def contents(way: Way, seed: str = "7 up") -> list[bytes]:
    return [datagram for _, datagram in departures(way, seed)]


def test_a_perfect_link_passes_everything_at_once() -> None:
    assert departures(Way()) == [(0.0, datagram) for datagram in DATAGRAMS]


def test_delay_is_added_to_each_datagram() -> None:
    due, datagram = departures(Way(delay=0.05), interval=0.01)[3]
    assert due == pytest.approx(0.08)
    assert datagram == DATAGRAMS[3]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_the_share_to_lose_is_lost(share: float) -> None:
    lost = len(DATAGRAMS) - len(departures(Way(loss=share)))
    assert lost == pytest.approx(share * len(DATAGRAMS), abs=40)


def test_the_same_seed_decides_the_same() -> None:
    way = Way(loss=0.1, duplicate=0.1, reorder=0.1, corrupt=0.1, jitter=0.1)
    assert departures(way) == departures(way)
    assert departures(way) != departures(way, seed="8 up")


def test_the_fate_of_a_datagram_does_not_depend_on_time_or_the_other_conditions() -> None:
    plain = contents(Way(loss=0.1))
    assert contents(Way(loss=0.1, delay=1, jitter=1)) == plain
    with_more = Impairment(Way(loss=0.1, duplicate=0.5, reorder=0.5), "7 up")
    assert [d for d in DATAGRAMS if with_more.offer(3.0, d)] == plain


def test_a_duplicate_is_the_same_datagram_once_more() -> None:
    passed = contents(Way(duplicate=0.2))
    assert sorted(set(passed)) == DATAGRAMS
    assert len(passed) == pytest.approx(1.2 * len(DATAGRAMS), abs=80)


def test_a_reordered_datagram_is_overtaken_and_jitter_alone_never_does_that() -> None:
    in_order = [due for due, _ in departures(Way(jitter=0.5), interval=0.001)]
    assert in_order == sorted(in_order)
    held = [due for due, _ in departures(Way(reorder=0.1, reorder_by=0.5), interval=0.001)]
    assert held != sorted(held)


def test_a_corrupt_datagram_differs_in_one_bit() -> None:
    passed = contents(Way(corrupt=1.0))
    flips = [
        int.from_bytes(before) ^ int.from_bytes(after)
        for before, after in zip(DATAGRAMS, passed, strict=True)
    ]
    assert {flip.bit_count() for flip in flips} == {1}
    assert len(set(flips)) > 100
    assert len(Impairment(Way(corrupt=1.0), "1").offer(0.0, b"")) == 1


def test_a_rate_spaces_datagrams_out_headers_included() -> None:
    way = Way(bits_per_second=(40 + HEADER_BYTES) * 8 * 100, queue=1e9)
    times = [due for due, _ in departures(way)]
    assert times[:3] == pytest.approx([0.01, 0.02, 0.03])


def test_what_would_wait_too_long_is_dropped_and_room_comes_back() -> None:
    way = Way(bits_per_second=(40 + HEADER_BYTES) * 8 * 100, queue=0.05)
    impairment = Impairment(way, "1")
    at_once = [impairment.offer(0.0, datagram) for datagram in DATAGRAMS[:10]]
    assert [bool(departures) for departures in at_once] == [True] * 6 + [False] * 4
    assert impairment.tally.overflowed == 4
    assert max(impairment.queue_delays) == pytest.approx(0.05)
    assert impairment.offer(0.02, DATAGRAMS[0])


@pytest.mark.parametrize(
    "wrong", [{"loss": 1.5}, {"delay": -1.0}, {"bits_per_second": 0.0}, {"corrupt": -0.1}]
)
def test_conditions_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Way(**wrong)


def test_conditions_survive_the_way_into_another_process() -> None:
    conditions = Conditions.both_ways(0.1, loss=0.5, bits_per_second=1e6)
    assert Conditions.from_document(dataclasses.asdict(conditions)) == conditions
