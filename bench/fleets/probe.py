"""One more device that sends signs of life and notes how long their answers take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from protocol.client import ClientLink, connect
from protocol.credentials import PskCredential

_EVERY = 0.1
_PATIENCE = 60.0


class Probe:
    """A link that is pinged ten times a second, or as fast as it answers."""

    def __init__(self, link: ClientLink) -> None:
        self._link = link
        self._milliseconds: list[float] = []
        self._answered = asyncio.Event()

    async def run(self) -> None:
        """Ping until cancelled."""
        while True:
            sent = time.perf_counter()
            await self._link.ping(_PATIENCE)
            self._milliseconds.append((time.perf_counter() - sent) * 1000)
            self._answered.set()
            await asyncio.sleep(_EVERY)

    async def take(self) -> list[float]:
        """Round trips since the last call, in milliseconds; at least one.

        Raises TimeoutError when no answer comes any more.
        """
        await asyncio.wait_for(self._answered.wait(), _PATIENCE)
        self._answered.clear()
        taken, self._milliseconds = self._milliseconds, []
        return taken


@asynccontextmanager
async def probe(address: tuple[str, int], credential: Mapping[str, str]) -> AsyncIterator[Probe]:
    """A device at the cloud there that is pinging."""
    shown = PskCredential(credential["identity"], credential["key"].encode())
    link = await connect(*address, shown)
    probing = Probe(link)
    running = asyncio.create_task(probing.run())
    try:
        yield probing
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await link.close()
