"""One thing for many devices: failures stay apart, Ctrl-C loses nothing that was done."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from provisioning.batch import for_each, results_of
from provisioning.errors import PkiError, Unreachable


def ignore(_result: object) -> None:
    """Nobody watches."""


def test_results_come_in_the_order_of_the_items() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 2:
            second_is_done.set()
        else:
            assert second_is_done.wait(20)
        return item * 10

    assert for_each([1, 2], work, parallel=2, on_done=ignore).done == [10, 20]


def test_one_failure_leaves_the_others_alone() -> None:
    told: list[int | None] = []

    def work(item: int) -> int:
        if item == 2:
            raise PkiError("a bad one")
        return item

    batch = for_each([1, 2, 3], work, parallel=1, on_done=told.append)
    assert (batch.done, batch.stopped) == ([1, 3], None)
    assert [(item, str(error)) for item, error in batch.failed] == [(2, "a bad one")]
    assert told == [1, None, 3]


def test_what_would_befall_all_stops_the_rest() -> None:
    asked: list[int] = []

    def work(item: int) -> int:
        asked.append(item)
        raise Unreachable("GET x", "no network")

    batch = for_each(range(100), work, parallel=2, on_done=ignore)
    assert batch.stopped == "GET x: no network"
    assert len(asked) <= 3


def test_ctrl_c_begins_nothing_more_and_keeps_what_is_done() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return item

    batch = for_each(range(10_000), work, parallel=4, on_done=ignore)
    assert batch.stopped == "interrupted"
    # What was under way is waited for; a result may miss only where the signal met its noting.
    assert len(begun) - 1 <= len(batch.done) <= len(begun)
    assert len(begun) < 10_000


def test_results_of_all_are_there_or_the_first_failure_is_raised() -> None:
    def work(item: int) -> int:
        if item == 2:
            raise PkiError("a bad one")
        return item

    assert results_of([3, 1], work) == [3, 1]
    with pytest.raises(PkiError, match="a bad one"):
        results_of([1, 2, 3], work)


def test_ctrl_c_ends_the_wait_for_all_results() -> None:
    with pytest.raises(KeyboardInterrupt):
        results_of(range(10_000), lambda item: os.kill(os.getpid(), signal.SIGINT))
