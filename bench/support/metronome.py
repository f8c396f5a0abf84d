"""A process that only waits for its next beat.

How late the machine wakes it while something is measured is how late it may wake anybody: what
comes of a machine that stood still, or of more work than it has cores, is seen here as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.support.child import Told, child, next_line, run_child, tell

BEATS_PER_SECOND = 30
_START_SECONDS = 60.0


@dataclass
class Lateness:
    """What there was of it; complete when the measurement is over."""

    longest_ms: float = 0.0


@asynccontextmanager
async def metronome() -> AsyncIterator[Lateness]:
    """Beat for as long as the block takes."""
    lateness = Lateness()
    async with child("bench.support.metronome", {}) as beating:
        await beating.greet(_START_SECONDS)
        yield lateness
        await beating.tell()
        lateness.longest_ms = (await beating.hear("done"))["longest_ms"]


async def _beat(_order: Told) -> None:
    tell("ready")
    over = asyncio.create_task(next_line())
    longest, due = 0.0, time.monotonic()
    while not over.done():
        due += 1 / BEATS_PER_SECOND
        await asyncio.sleep(due - time.monotonic())
        late = time.monotonic() - due
        longest = max(longest, late)
        due += max(0.0, late)
    tell("done", longest_ms=longest * 1e3)


if __name__ == "__main__":
    run_child(_beat)
