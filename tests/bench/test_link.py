from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import pytest

from bench.link import Conditions, Link, Way, WayStatistics, link_to
from tests.support.waiting import until, within

Address = tuple[str, int]


class Endpoint(asyncio.DatagramProtocol):
    """A UDP socket; as a server it returns everything to where it came from."""

    def __init__(self, *, echoes: bool = False) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.sources: list[Address] = []
        self._echoes = echoes
        self.transport: asyncio.DatagramTransport

    @property
    def address(self) -> Address:
        host, port = self.transport.get_extra_info("sockname")[:2]
        return host, port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.sources.append(addr)
        self.received.put_nowait(data)
        if self._echoes:
            self.transport.sendto(data, addr)

    def send(self, data: bytes) -> None:
        self.transport.sendto(data)

    async def next(self) -> bytes:
        return await within(self.received.get())

    async def exchange(self, data: bytes) -> bytes:
        self.send(data)
        return await self.next()

    async def until(self, last: bytes) -> list[bytes]:
        got: list[bytes] = []
        while last not in got:
            got.append(await self.next())
        return got


class Net:
    """A server that echoes, a link to it, and clients."""

    def __init__(self, link: Link, server: Endpoint, stack: AsyncExitStack) -> None:
        self.link, self.server, self._stack = link, server, stack

    async def client(self) -> Endpoint:
        loop = asyncio.get_running_loop()
        transport, client = await loop.create_datagram_endpoint(
            Endpoint, remote_addr=self.link.address
        )
        self._stack.callback(transport.close)
        return client


@pytest.fixture(params=[True, False], ids=["own-process", "same-loop"])
def own_process(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@asynccontextmanager
async def net(
    conditions: Conditions | None = None, *, own_process: bool = False, seed: int = 1
) -> AsyncIterator[Net]:
    async with AsyncExitStack() as stack:
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(
            lambda: Endpoint(echoes=True), local_addr=("127.0.0.1", 0)
        )
        stack.callback(transport.close)
        link = await stack.enter_async_context(
            link_to(server.address, conditions, seed=seed, own_process=own_process)
        )
        yield Net(link, server, stack)


async def counted(link: Link, holds: Callable[[WayStatistics], bool]) -> WayStatistics:
    """The figures of the way up as soon as they are as wanted."""

    async def look() -> WayStatistics | None:
        up = (await link.statistics()).up
        return up if holds(up) else None

    found = await until(look, every=0.001)
    assert found
    return found


async def test_a_perfect_link_carries_both_ways_and_counts(own_process: bool) -> None:
    async with net(own_process=own_process) as there:
        client = await there.client()
        assert await client.exchange(b"hello") == b"hello"
        statistics = await there.link.statistics()
    assert (statistics.up.passed, statistics.up.passed_bytes) == (1, 5)
    assert (statistics.down.passed, statistics.down.passed_bytes) == (1, 5)
    assert list(statistics.clients.values()) == [(5, 5)]


async def test_an_answer_never_comes_before_the_round_trip_is_over(own_process: bool) -> None:
    async with net(Conditions.both_ways(0.08), own_process=own_process) as there:
        client = await there.client()
        began = asyncio.get_running_loop().time()
        await client.exchange(b"hello")
        assert asyncio.get_running_loop().time() - began >= 0.08


async def test_the_same_datagrams_are_lost_with_the_same_seed(own_process: bool) -> None:
    arrived = [await arrivals(own_process, seed) for seed in (5, 5, 6)]
    assert arrived[0] == arrived[1] != arrived[2]
    assert 0 < len(arrived[0]) < 100


async def arrivals(own_process: bool, seed: int) -> list[bytes]:
    async with net(Conditions(up=Way(loss=0.5)), own_process=own_process, seed=seed) as there:
        client = await there.client()
        for number in range(100):
            client.send(b"%d" % number)
        await counted(there.link, lambda up: up.lost + up.passed == 100)
        await there.link.change(Conditions())
        client.send(b"end")
        return (await there.server.until(b"end"))[:-1]


async def test_a_cut_link_carries_nothing_until_it_is_restored(own_process: bool) -> None:
    async with net(own_process=own_process) as there:
        client = await there.client()
        await there.link.blackout()
        client.send(b"into the void")
        await counted(there.link, lambda up: up.cut == 1)
        await there.link.restore()
        assert await client.exchange(b"back") == b"back"
        assert there.server.received.get_nowait() == b"back"


async def test_a_blackout_ends_by_itself(own_process: bool) -> None:
    async with net(own_process=own_process) as there:
        client = await there.client()
        await there.link.blackout(0.05)
        answer = asyncio.ensure_future(client.next())
        while not answer.done():
            client.send(b"is it over?")
            await asyncio.sleep(0.01)
        assert (await there.link.statistics()).up.cut > 0


async def test_after_a_rebinding_the_server_sees_another_port(own_process: bool) -> None:
    async with net(own_process=own_process) as there:
        client = await there.client()
        await client.exchange(b"before")
        await there.link.rebind()
        await client.exchange(b"after")
        old, new = there.server.sources
        assert old != new
        # What still goes to the old port is lost.
        there.server.transport.sendto(b"stale", old)
        there.server.transport.sendto(b"fresh", new)
        assert await client.next() == b"fresh"


async def test_each_client_has_a_port_and_bytes_of_its_own(own_process: bool) -> None:
    async with net(own_process=own_process) as there:
        one, other = await there.client(), await there.client()
        assert await one.exchange(b"1") == b"1"
        assert await other.exchange(b"two") == b"two"
        assert len(set(there.server.sources)) == 2
        statistics = await there.link.statistics()
    assert sorted(statistics.clients.values()) == [(1, 1), (3, 3)]


async def test_clients_share_one_queue() -> None:
    slow = Conditions(up=Way(bits_per_second=10 * 8 * 1028, queue=0.05))
    async with net(slow) as there:
        one, other = await there.client(), await there.client()
        for client in (one, other, one, other):
            client.send(bytes(1000))
        up = await counted(there.link, lambda up: up.passed + up.overflowed == 4)
    assert (up.passed, up.overflowed) == (1, 3)


async def test_conditions_can_change_on_a_running_link(own_process: bool) -> None:
    async with net(Conditions(up=Way(loss=1.0)), own_process=own_process) as there:
        client = await there.client()
        client.send(b"lost")
        await counted(there.link, lambda up: up.lost == 1)
        await there.link.change(Conditions(up=Way(duplicate=1.0)))
        await client.exchange(b"twice")
        assert await client.next() == b"twice"
        assert (await there.link.statistics()).up.duplicated == 1


async def test_a_link_outlives_a_server_that_is_away() -> None:
    async with net() as there:
        client = await there.client()
        there.server.transport.close()
        for number in range(5):
            client.send(b"%d" % number)
        await counted(there.link, lambda up: up.passed == 5)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: Endpoint(echoes=True), local_addr=there.server.address
        )
        assert await client.exchange(b"again") == b"again"
        transport.close()
