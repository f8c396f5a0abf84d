"""Several things that may happen next, of which the first counts."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def first(*racers: Coroutine[Any, Any, T]) -> T:
    """What the first to end comes to, by their order; the others are cancelled."""
    tasks = [asyncio.get_running_loop().create_task(racer) for racer in racers]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        winner = next(task for task in tasks if task.done())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return winner.result()
