"""A UDP relay on loopback that loses datagrams, for tests of what a bad link does."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import cast


class Relay(asyncio.DatagramProtocol):
    """Passes datagrams on, each lost with probability ``loss``; the seed makes runs alike.

    ``cut`` loses everything in both directions while it is true; ``bytes_back`` counts what
    reached the clients.
    """

    def __init__(self, target: tuple[str, int], loss: float, seed: int) -> None:
        self.cut = False
        self.lost = 0
        self.bytes_back = 0
        self._target = target
        self._loss = loss
        self._dice = random.Random(seed)
        self._ways: dict[tuple[str, int], _Way] = {}
        self._transport: asyncio.DatagramTransport
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.loses():
            return
        way = self._ways.get(addr)
        if way is None:
            way = self._ways[addr] = _Way(self, addr)
            task = asyncio.ensure_future(way.open(self._target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        way.forward(data)

    def loses(self) -> bool:
        lost = self.cut or self._dice.random() < self._loss
        self.lost += lost
        return lost

    def send_back(self, data: bytes, client: tuple[str, int]) -> None:
        if not self.loses():
            self.bytes_back += len(data)
            self._transport.sendto(data, client)

    def close(self) -> None:
        for way in self._ways.values():
            way.close()
        self._transport.close()


class _Way(asyncio.DatagramProtocol):
    """The relay's own socket towards the server for one client."""

    def __init__(self, relay: Relay, client: tuple[str, int]) -> None:
        self._relay = relay
        self._client = client
        self._waiting: list[bytes] = []
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self, target: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=target)
        self._transport = transport
        for data in self._waiting:
            transport.sendto(data)

    def forward(self, data: bytes) -> None:
        if self._transport is None:
            self._waiting.append(data)
        else:
            self._transport.sendto(data)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._relay.send_back(data, self._client)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


@asynccontextmanager
async def relay_to(
    target: tuple[str, int], *, loss: float = 0.0, seed: int = 1, host: str = "127.0.0.1"
) -> AsyncIterator[Relay]:
    loop = asyncio.get_running_loop()
    _, relay = await loop.create_datagram_endpoint(
        lambda: Relay(target, loss, seed), local_addr=(host, 0)
    )
    try:
        yield relay
    finally:
        relay.close()


@contextmanager
def relay_in_background(target: tuple[str, int], *, host: str = "127.0.0.1") -> Iterator[Relay]:
    """The same for tests without an event loop of their own."""
    started, stop = threading.Event(), asyncio.Event()
    found: list[Relay] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with relay_to(target, host=host) as relay:
            found.append(relay)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
