"""The original's method of downloading, in a process of its own.

One confirmable block request at a time. Unanswered, it is sent again after 2 s x 1..1.5 and twice
that. After 10 s it gives up, makes a new DTLS session after 1 s and starts over at block 0. The end
is the answer that says that no more follow; nothing but that is checked.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bench.support.child import Told, next_line, run_child, tell
from protocol.client import ClientLink, connect
from protocol.credentials import PskCredential
from protocol.errors import LinkError
from protocol.formats import ContentFormat
from protocol.requests import get

GIVE_UP_SECONDS = 10.0
PAUSE_SECONDS = 1.0
_SIZE_EXPONENT = 6  # 1,024 bytes


@dataclass(frozen=True)
class Order:
    """What to do; it stops after ``budget`` seconds, wherever it is then."""

    host: str
    port: int
    identity: str
    key: str
    uri: str
    file: str
    budget: float


class LockStep:
    """One download; ``blocks`` counts all that came, also before a start over."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._link: ClientLink | None = None
        self.blocks = 0
        self.restarts = 0

    async def connect(self) -> None:
        """A new session, tried until it is there."""
        if self._link is not None:
            await self._link.close()
            self._link = None
        order = self._order
        credential = PskCredential(order.identity, order.key.encode())
        while self._link is None:
            try:
                self._link = await connect(
                    order.host, order.port, credential, handshake_timeout=GIVE_UP_SECONDS
                )
            except LinkError:
                await asyncio.sleep(PAUSE_SECONDS)

    async def download(self, end: float) -> bool:
        """Whether it came to the end of the file in time."""
        with Path(self._order.file).open("wb") as file:  # noqa: ASYNC230 - as the original does
            while True:
                file.seek(0)
                file.truncate()
                try:
                    return await self._download_once(file, end)
                except (TimeoutError, LinkError):
                    self.restarts += 1
                    await asyncio.sleep(PAUSE_SECONDS)
                    await self.connect()

    async def _download_once(self, file: BinaryIO, end: float) -> bool:
        number = 0
        while time.perf_counter() < end:
            request = get(self._order.uri, ContentFormat.OCTETS, (number, _SIZE_EXPONENT))
            assert self._link is not None
            async with asyncio.timeout(GIVE_UP_SECONDS):
                answer = await self._link.request(request)
            file.write(answer.payload)
            self.blocks += 1
            number += 1
            if answer.opt.block2 is None or not answer.opt.block2.more:
                return True
        return False

    async def close(self) -> None:
        """Close the session."""
        if self._link is not None:
            await self._link.close()


async def serve(told: Told) -> None:
    """Do what the order says."""
    order = Order(**told)
    client = LockStep(order)
    await client.connect()
    tell("ready")
    await next_line()
    began, cpu = time.perf_counter(), time.process_time()
    finished = await client.download(began + order.budget)
    tell(
        "done",
        seconds=time.perf_counter() - began,
        cpu_seconds=time.process_time() - cpu,
        blocks=client.blocks,
        restarts=client.restarts,
        finished=finished,
    )
    await client.close()


if __name__ == "__main__":
    run_child(serve)
