"""A network link in user space, between clients and a server on this machine.

It delays, loses, duplicates, reorders, corrupts and queues datagrams in each direction, cuts the
line and rebinds ports as a NAT does; the seed decides what happens to which datagram::

    conditions = Conditions.both_ways(round_trip=0.1, loss=0.01)
    async with link_to((host, port), conditions, seed=7) as link:
        ...  # clients use link.address instead of (host, port)
        await link.blackout(5)

Clients of one link share its rate and its queue. It runs in a process of its own, so that it
neither takes from the client's event loop nor waits for it; ``own_process=False`` saves the 60 ms
which that takes to start, for tests that do not measure.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from bench.support.conditions import Conditions, Way
from bench.support.forwarder import Address, Forwarder

__all__ = ["Conditions", "Link", "Statistics", "Way", "WayStatistics", "link_to"]

_Order = Callable[[str, Mapping[str, Any]], Awaitable[Any]]


@dataclass(frozen=True)
class WayStatistics:
    """Datagrams of one direction since the start.

    Of those that ``passed``, ``full`` ones are long enough to hold a block of 1,024 bytes.
    ``overflowed`` found the queue full, ``cut`` came during a blackout. Queue delays are in
    seconds, over the datagrams that passed a link with a rate.
    """

    passed: int
    passed_bytes: int
    full: int
    lost: int
    overflowed: int
    cut: int
    duplicated: int
    reordered: int
    corrupted: int
    queue_delay_p95: float
    queue_delay_max: float


@dataclass(frozen=True)
class Statistics:
    """What went over a link.

    ``clients`` has (bytes sent, bytes received) of each, by ``host:port``, in UDP payloads.
    ``lateness_*`` is the link's own doing: seconds by which datagrams left later than they should.
    """

    up: WayStatistics
    down: WayStatistics
    clients: dict[str, tuple[int, int]]
    lateness_p95: float
    lateness_max: float


class Link:
    """A running link; clients send to ``address``."""

    def __init__(self, address: Address, order: _Order) -> None:
        self.address = address
        self._order = order

    async def change(self, conditions: Conditions) -> None:
        """Other conditions from now on; what is under way stays as it is."""
        await self._order("change", asdict(conditions))

    async def blackout(self, seconds: float = math.inf) -> None:
        """Cut the link for that long from now; :meth:`restore` ends it earlier."""
        await self._order("blackout", {"seconds": seconds})

    async def restore(self) -> None:
        """End a blackout."""
        await self._order("blackout", {"seconds": 0.0})

    async def rebind(self, address: str | None = None) -> None:
        """Reach the server from other ports from now on, as after a restart of a NAT.

        With ``address``, one of this machine's, also from there: the device has moved.
        """
        await self._order("rebind", {"source": address})

    async def statistics(self) -> Statistics:
        """Figures since the start."""
        found = await self._order("statistics", {})
        return Statistics(
            up=WayStatistics(**found["up"]),
            down=WayStatistics(**found["down"]),
            clients={name: (up, down) for name, (up, down) in found["clients"].items()},
            lateness_p95=found["lateness_p95"],
            lateness_max=found["lateness_max"],
        )


@asynccontextmanager
async def link_to(
    target: Address,
    conditions: Conditions | None = None,
    *,
    seed: int = 1,
    host: str = "127.0.0.1",
    own_process: bool = True,
) -> AsyncIterator[Link]:
    """A link to the server at ``target``, for clients at ``host``."""
    chosen = conditions or Conditions()
    if not own_process:
        forwarder = Forwarder(target, chosen, seed, host)
        try:
            yield Link(forwarder.address, _call(forwarder))
        finally:
            forwarder.close()
        return
    start = {"target": target, "conditions": asdict(chosen), "seed": seed, "host": host}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.support.forwarder"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    pipe = _Pipe(process)
    try:
        address_host, port = await pipe.say(start)
        yield Link((address_host, port), pipe.order)
    finally:
        await pipe.close()


def _call(forwarder: Forwarder) -> _Order:
    async def order(name: str, arguments: Mapping[str, Any]) -> Any:
        # As with a process of its own, waiting for the answer lets datagrams pass.
        await asyncio.sleep(0)
        return getattr(forwarder, name)(**arguments)

    return order


class _Pipe:
    """Orders to a link in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def order(self, name: str, arguments: Mapping[str, Any]) -> Any:
        return await self.say({"do": name, "with": dict(arguments)})

    async def say(self, document: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(document).encode() + b"\n")
            await self._process.stdin.drain()
            answer = await self._process.stdout.readline()
        if not answer:
            raise ConnectionError("the link's process has ended; what it said is on stderr")
        return json.loads(answer)

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
