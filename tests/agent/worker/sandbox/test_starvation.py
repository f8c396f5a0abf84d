"""What real processes do while nothing is heard of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from agent.worker.sandbox.starvation import (
    is_starved,
    processor_seconds,
    waits_for_the_machine,
)


@contextmanager
def running(*command: str) -> Iterator[int]:
    """A process, by its id; gone at the end."""
    process = subprocess.Popen(command)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_a_process_that_spins_is_starved_until_it_had_its_time() -> None:
    with running(sys.executable, "-c", "while True: pass") as spinning:
        while processor_seconds(spinning) < 0.5:
            pass  # it is still starting
        assert waits_for_the_machine(spinning)
        assert is_starved(spinning, seconds=1000)
        assert not is_starved(spinning, seconds=1)
        assert not is_starved(spinning, seconds=1000, used_before=-500)
    assert processor_seconds(spinning) == 0.0
    assert not is_starved(spinning, seconds=1000)


def test_a_process_that_sleeps_is_not_starved() -> None:
    with running("/bin/sleep", "60") as sleeping:
        while waits_for_the_machine(sleeping):
            pass  # it is still starting
        assert processor_seconds(sleeping) < 0.2
        assert not is_starved(sleeping, seconds=1000)
