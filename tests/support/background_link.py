"""An impaired link for tests without an event loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bench.link import Link, Statistics, link_to

PATIENCE = 20.0


class BackgroundLink:
    """A link that runs in a thread."""

    def __init__(self, link: Link, loop: asyncio.AbstractEventLoop) -> None:
        self.address = link.address
        self._link, self._loop = link, loop

    def statistics(self) -> Statistics:
        """Figures since the start."""
        asked = asyncio.run_coroutine_threadsafe(self._link.statistics(), self._loop)
        return asked.result(PATIENCE)


@contextmanager
def link_in_background(
    target: tuple[str, int], *, host: str = "127.0.0.1"
) -> Iterator[BackgroundLink]:
    """A perfect link to the server at ``target``, for clients at ``host``."""
    started, stop = threading.Event(), asyncio.Event()
    found: list[BackgroundLink] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with link_to(target, host=host, own_process=False) as link:
            found.append(BackgroundLink(link, loop))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(PATIENCE)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
