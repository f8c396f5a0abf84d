"""Intervals taken from counters: whatever the worker goes through, they add up."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.telemetry.counts import Counts, Look, Tally, difference
from agent.worker.engines.counters import Result
from agent.worker.engines.counters import Tally as WorkerTally
from agent.worker.engines.durations import ACCURACY, Durations, longest, quantile


class Worker:
    """The worker's real counters, with a life as chequered as anybody likes."""

    def __init__(self) -> None:
        self.life = 0
        self.tallies: list[tuple[str, WorkerTally]] = []
        self.switch("a")

    def switch(self, release: str) -> None:
        self.tallies.append((release, WorkerTally()))

    def restart(self) -> None:
        self.life += 1
        self.tallies = []
        self.switch("a")

    def frame(self, label: str, confidence: float) -> None:
        result = Result(1, "", [(label, confidence)], 5.0, 1.0, 2.0, 30.0, None, "red")
        self.tallies[-1][1].add(result)

    def drop(self) -> None:
        self.tallies[-1][1].dropped += 1

    def look(self) -> Look:
        told = [{"release": release, **tally.sums()} for release, tally in self.tallies]
        return Look(instance=str(self.life), tallies=told)

    def total(self) -> Counter[str]:
        sums: Counter[str] = Counter()
        for release, tally in self.tallies:
            sums.update(summary(release, tally.sums()))
        return sums


def summary(release: str, counts: dict[str, Any]) -> dict[str, int]:
    return {
        f"{release} classified": counts["classified"],
        f"{release} dropped": counts["dropped"],
        f"{release} correct": counts["labelled"]["correct"],
        f"{release} histogram": sum(counts["confidence"]["histogram"]),
        f"{release} latency": sum(counts["latency_ms"].values()),
        **{f"{release} {label}": count for label, count in counts["classes"].items()},
    }


EVENTS = st.one_of(
    st.tuples(st.just("frame"), st.sampled_from(["red", "green"]), st.floats(0, 1)),
    st.tuples(st.sampled_from(["drop", "look", "restart", "to a", "to b"])),
)


@given(st.lists(EVENTS, max_size=60))
def test_the_intervals_of_every_life_add_up_to_its_counters(events: list[Any]) -> None:
    worker, before = Worker(), Look(instance="0")
    told: Counter[str] = Counter()
    expected: Counter[str] = Counter()

    def look() -> None:
        nonlocal before
        now = worker.look()
        for release, counts in difference(now, before).items():
            told.update(summary(release, counts.model_dump()))
        before = now

    for what, *how in events:
        if what == "frame":
            worker.frame(*how)
        elif what == "drop":
            worker.drop()
        elif what == "look":
            look()
        elif what == "restart":
            # What was not looked at by then is lost with the worker, so look.
            look()
            expected += worker.total()
            worker.restart()
        else:
            worker.switch(what[-1])
    look()
    assert +told == +(expected + worker.total())


def test_a_switch_gives_a_document_for_each_release() -> None:
    worker = Worker()
    worker.frame("red", 0.9)
    before = worker.look()
    worker.frame("red", 0.8)
    worker.switch("b")
    worker.frame("green", 0.7)
    worker.drop()
    changes = difference(worker.look(), before)
    assert {r: (c.classified, c.dropped) for r, c in changes.items()} == {"a": (1, 0), "b": (1, 1)}
    assert changes["a"].classes == {"red": 1}
    assert math.isclose(changes["a"].confidence.sum_squares, 0.64)


def test_a_release_that_came_back_in_between_is_one_document() -> None:
    worker = Worker()
    before = worker.look()
    for release in ("b", "a"):
        worker.frame("red", 0.9)
        worker.switch(release)
    worker.frame("red", 0.9)
    changes = difference(worker.look(), before)
    assert {release: counts.classified for release, counts in changes.items()} == {"a": 2, "b": 1}


def test_a_quiet_interval_is_no_document() -> None:
    worker = Worker()
    worker.frame("red", 0.9)
    assert difference(worker.look(), worker.look()) == {}


def test_counters_that_went_backwards_count_from_nothing() -> None:
    before = Look(instance="x", tallies=(Tally(serial=1, release="a", classified=9),))
    now = Look(instance="x", tallies=(Tally(serial=1, release="a", classified=4),))
    assert difference(now, before)["a"].classified == 4


def test_a_look_survives_the_journal() -> None:
    worker = Worker()
    worker.frame("red", 0.123456789)
    assert Look.model_validate_json(worker.look().model_dump_json()) == worker.look()


@given(st.lists(st.floats(0.02, 1e5), min_size=1, max_size=200), st.floats(0, 1))
def test_quantiles_of_counted_durations_are_right_to_two_per_cent(
    durations: list[float], share: float
) -> None:
    counted = Durations()
    for duration in durations:
        counted.add(duration)
    exact = sorted(durations)[int(share * (len(durations) - 1))]
    measured, most = quantile(counted.counts, share), longest(counted.counts)
    assert measured is not None
    assert most is not None
    assert abs(measured - exact) <= ACCURACY * exact * 1.0001
    assert abs(most - max(durations)) <= ACCURACY * max(durations) * 1.0001


def test_nothing_has_no_quantile() -> None:
    assert quantile({}, 0.5) is None
    assert Counts().is_nothing
