"""Something asynchronous for tests without an event loop of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tests.support.waiting import PATIENCE

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Background(Generic[T]):
    """``it`` runs in a thread with that event loop."""

    it: T
    loop: asyncio.AbstractEventLoop

    def wait_for(self, asked: Coroutine[Any, Any, R]) -> R:
        """The result of something of it, which runs where it does."""
        return asyncio.run_coroutine_threadsafe(asked, self.loop).result(PATIENCE)

    def call(self, what: Callable[[], R]) -> R:
        """Call something of it where that is allowed."""

        async def there() -> R:
            return what()

        return self.wait_for(there())


@contextmanager
def in_background(
    opening: Callable[[], AbstractAsyncContextManager[T]],
) -> Iterator[Background[T]]:
    """Open what ``opening`` makes in a thread of its own, and close it there at the end.

    Raises what comes of opening or closing it.
    """
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    opened: Future[T] = Future()

    async def serve() -> None:
        async with opening() as it:
            opened.set_result(it)
            await stop.wait()

    with ThreadPoolExecutor(1) as thread:
        serving = thread.submit(loop.run_until_complete, serve())
        beginnings: list[Future[Any]] = [opened, serving]
        wait(beginnings, PATIENCE, FIRST_COMPLETED)
        try:
            if not serving.done():
                yield Background(opened.result(0), loop)
        finally:
            loop.call_soon_threadsafe(stop.set)
            serving.result()
            loop.close()
