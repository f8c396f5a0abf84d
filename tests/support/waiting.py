"""Waiting for what must come: for a condition, and long enough for a machine with other work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

PATIENCE = 120.0
"""Seconds. Nothing takes that long: what has not come by then never will."""

T = TypeVar("T")


async def eventually(condition: Callable[[], T | None], patience: float = PATIENCE) -> T:
    """Wait until something that no event tells of is so, and return it."""

    async def look() -> T | None:
        return condition()

    return await until(look, patience, every=0.005)


async def until(
    look: Callable[[], Awaitable[T | None]], patience: float = PATIENCE, every: float = 0.05
) -> T:
    """Look, with ``every`` so many seconds between, until it is true, and return that."""
    async with asyncio.timeout(patience):
        while not (found := await look()):  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(every)
    return found


async def within(awaitable: Awaitable[T], patience: float = PATIENCE) -> T:
    """The result of something that must end."""
    async with asyncio.timeout(patience):
        return await awaitable
