from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.backoff import Backoff
from protocol.pacing import Lane, Pacer, TokenBucket
from tests.support.waiting import within


def send_until(bucket: TokenBucket, now: float, end: float) -> list[float]:
    """Times at which an always-hungry sender gets to send."""
    sent = []
    while now < end:
        wait = bucket.take(now)
        if wait:
            now += wait
        else:
            sent.append(now)
    return sent


def busiest_second(sent: list[float]) -> int:
    return max(sum(start <= t < start + 1 for t in sent) for start in sent)


def test_no_second_sees_more_than_the_limit_and_little_less() -> None:
    sent = send_until(TokenBucket(20, 100.0), 100.0, 160.0)
    assert busiest_second(sent) <= 20
    assert len(sent) >= 60 * 19.8


@given(
    st.floats(0.5, 200),
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 40)), max_size=20),
)
def test_the_limit_holds_whatever_the_demand(limit: float, bursts: list[tuple[float, int]]) -> None:
    bucket, now, sent = TokenBucket(limit, 0.0), 0.0, []
    for gap, wanted in bursts:
        now += gap
        for _ in range(wanted):
            if bucket.take(now) == 0:
                sent.append(now)
    if sent:
        assert busiest_second(sent) <= max(limit, 1) + 1


def test_without_a_limit_nothing_waits() -> None:
    bucket = TokenBucket(None, 0.0)
    assert all(bucket.take(0.0) == 0 for _ in range(1000))


@pytest.mark.parametrize(("retry_after", "pause"), [(7.0, 7.0), (None, 2.0), (1e9, 300.0)])
def test_a_4_29_pauses_for_max_age_or_a_default(retry_after: float | None, pause: float) -> None:
    bucket = TokenBucket(20, 0.0)
    bucket.slow_down(10.0, retry_after)
    assert bucket.take(10.0) == pause
    assert bucket.take(10.0 + pause) == 0


def test_after_a_4_29_the_rate_is_halved_and_recovers() -> None:
    bucket = TokenBucket(20, 0.0)
    bucket.slow_down(0.0, 1.0)
    assert bucket.rate(1.0) == pytest.approx(9.75, abs=0.01)
    assert 9.8 < bucket.rate(10.0) < 19.5
    assert bucket.rate(31.0) == pytest.approx(19.5, abs=0.01)


def test_repeated_4_29s_keep_lowering_the_rate_but_not_to_nothing() -> None:
    bucket, now = TokenBucket(20, 0.0), 0.0
    for _ in range(20):
        bucket.slow_down(now, 1.0)
        now += 1.0
    assert bucket.rate(now) == pytest.approx(18 / 16, abs=0.8)


def test_4_29s_of_requests_already_under_way_count_once() -> None:
    bucket = TokenBucket(20, 0.0)
    for _ in range(30):
        bucket.slow_down(0.0, 1.0)
    assert bucket.rate(1.0) == pytest.approx(9.75, abs=0.01)


def test_an_unlimited_sender_learns_from_a_4_29_that_there_is_a_limit() -> None:
    bucket = TokenBucket(None, 0.0)
    bucket.slow_down(0.0, 1.0)
    sent = send_until(bucket, 1.0, 100.0)
    assert busiest_second(sent) <= 20


class Clock:
    """Time that stands still unless a test moves it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def order_served(wanted: list[Lane]) -> list[Lane]:
    """In which order lanes get their turns when all of these ask at one moment."""
    clock = Clock()
    pacer, served = Pacer(1000, clock=clock), list[Lane]()

    async def send(lane: Lane) -> None:
        await pacer.turn(lane)
        served.append(lane)

    tasks = [asyncio.create_task(send(lane)) for lane in wanted]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.001)
        clock.now += 0.01
    return served


async def test_a_message_does_not_wait_behind_a_download() -> None:
    served = await order_served([Lane.BLOCKS] * 200 + [Lane.MESSAGES])
    # The first block goes out at once, before the message is there; then the lanes take turns.
    assert served.index(Lane.MESSAGES) == 1


async def test_messages_do_not_starve_a_download() -> None:
    served = await order_served([Lane.MESSAGES] * 250 + [Lane.BLOCKS] * 50)
    assert served[1:101].count(Lane.BLOCKS) == 50


async def test_what_can_wait_takes_one_turn_in_twenty_of_a_download() -> None:
    served = await order_served([Lane.BLOCKS] * 200 + [Lane.BACKGROUND] * 20)
    waited = [turn for turn, lane in enumerate(served) if lane is Lane.BACKGROUND]
    # The blocks are through at turn 210; until then every twentieth turn was the background's.
    assert waited[:10] == list(range(19, 200, 20))
    assert waited[10:] == list(range(210, 220))


async def test_what_can_wait_lets_messages_and_blocks_go_first() -> None:
    served = await order_served([Lane.BACKGROUND] * 5 + [Lane.MESSAGES] * 3 + [Lane.BLOCKS] * 3)
    # The first goes out at once, before anybody else is there.
    assert Lane.BACKGROUND not in served[1:7]
    assert served.count(Lane.BACKGROUND) == 5


async def test_a_turn_at_once_is_one_that_nobody_waits_for() -> None:
    clock = Clock()
    pacer = Pacer(10, clock=clock)
    assert pacer.turn_at_once(Lane.BLOCKS)
    assert not pacer.turn_at_once(Lane.BLOCKS)
    waiting = asyncio.create_task(pacer.turn(Lane.MESSAGES))
    await asyncio.sleep(0)
    clock.now = 1.0
    assert not pacer.turn_at_once(Lane.BLOCKS)
    await waiting
    clock.now = 2.0
    assert pacer.turn_at_once(Lane.BLOCKS)


@pytest.mark.parametrize("requests", [None, 1000])
def test_a_byte_cap_holds_whatever_the_sizes(requests: float | None) -> None:
    clock = Clock()
    pacer = Pacer(requests, 10_000, clock=clock)
    taken = 0
    for _ in range(20_000):
        size = 1184 if clock.now < 10 else 200
        taken += size * pacer.turn_at_once(Lane.BLOCKS, size)
        clock.now += 0.001
    assert 195_000 <= taken <= 200_000 + 1184


async def test_a_cancelled_waiter_costs_the_next_one_nothing() -> None:
    clock = Clock()
    pacer = Pacer(10, clock=clock)
    await pacer.turn(Lane.BLOCKS)
    waiting = [asyncio.create_task(pacer.turn(Lane.BLOCKS)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    waiting[0].cancel()
    clock.now = 1 / 9.9
    await waiting[1]
    assert not waiting[2].done()
    waiting[2].cancel()


async def test_a_4_29_holds_back_those_already_waiting() -> None:
    clock = Clock()
    pacer = Pacer(1000, clock=clock)
    pacer.slow_down(0.02)
    waiting = asyncio.create_task(pacer.turn(Lane.MESSAGES))
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.now = 0.02
    await waiting


def test_waits_grow_to_a_limit_and_start_again_after_a_success() -> None:
    backoff = Backoff(1.0, 60.0)
    for attempt in range(200):
        assert 0 <= backoff.next_wait() <= min(60.0, 2.0**attempt)
    assert max(backoff.next_wait() for _ in range(100)) > 30
    backoff.reset()
    assert backoff.next_wait() <= 1.0


async def test_a_cap_that_is_lifted_lets_those_who_wait_go() -> None:
    pacer = Pacer(None, byte_limit=1)
    await pacer.turn(Lane.BLOCKS, 1000)
    waiting = asyncio.create_task(pacer.turn(Lane.BLOCKS, 1000))
    await asyncio.sleep(0)
    assert not waiting.done()
    pacer.limit_bytes(None)
    await within(waiting)
    pacer.limit_bytes(1)
    await pacer.turn(Lane.BLOCKS, 1000)
    assert not pacer.turn_at_once(Lane.BLOCKS, 1000)
