"""Something asynchronous for tests without an event loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

PATIENCE = 20.0

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
    """Open what ``opening`` makes in a thread of its own, and close it there at the end."""
    started, stop = threading.Event(), asyncio.Event()
    found: list[T] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with opening() as it:
            found.append(it)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(PATIENCE)
    try:
        yield Background(found[0], loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
