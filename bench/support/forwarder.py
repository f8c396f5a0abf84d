"""The sockets of a link: takes datagrams in, keeps them as long as they take, sends them on.

Each client has a socket of its own towards the server, as behind a NAT. ``python -m
bench.support.forwarder`` runs one in a process of its own, told what to do in lines of JSON.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import selectors
import socket
import sys
from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from typing import Any

from bench.support.conditions import Conditions
from bench.support.impairment import Impairment
from bench.support.quantiles import quantile

Address = tuple[str, int]
Send = Callable[[bytes], None]

_LARGEST_DATAGRAM = 65_535
_BUFFER = 4 * 1024 * 1024
# So that a flood from one side can't keep what is due waiting.
_READ_AT_ONCE = 32


@dataclass
class _Client:
    upstream: socket.socket
    up_bytes: int = 0
    down_bytes: int = 0


class Forwarder:
    """A link on the running event loop; :meth:`close` it."""

    def __init__(self, target: Address, conditions: Conditions, seed: int, host: str) -> None:
        self._target = target
        self._loop = asyncio.get_running_loop()
        self._up = Impairment(conditions.up, f"{seed} up")
        self._down = Impairment(conditions.down, f"{seed} down")
        self._cut_until = -math.inf
        self._source: str | None = None
        """Address that datagrams to the server come from; None for whatever fits."""
        self._due: list[tuple[float, int, Impairment, Send, bytes]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None
        self._lateness = array("d")
        self._clients: dict[Address, _Client] = {}
        self._socket = _udp(host)
        self._socket.bind((host, 0))
        self._loop.add_reader(self._socket, self._read_clients)

    @property
    def address(self) -> Address:
        """Where clients send to."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def close(self) -> None:
        """Lose everything under way."""
        if self._timer is not None:
            self._timer.cancel()
        for client in self._clients.values():
            self._close(client.upstream)
        self._close(self._socket)

    # What can be done to a link.

    def change(self, up: dict[str, Any], down: dict[str, Any]) -> None:
        """Other conditions from now on; what is under way stays as it is."""
        conditions = Conditions.from_document({"up": up, "down": down})
        self._up.way, self._down.way = conditions.up, conditions.down

    def blackout(self, seconds: float) -> None:
        """Lose everything that comes in during this time."""
        self._cut_until = self._loop.time() + seconds

    def rebind(self, source: str | None = None) -> None:
        """Reach the server from new ports, and from there; answers to the old ones are lost."""
        self._source = source or self._source
        for address, client in self._clients.items():
            self._close(client.upstream)
            client.upstream = self._open_upstream(address)

    def statistics(self) -> dict[str, Any]:
        """Figures since the start, for :class:`bench.link.Statistics`."""
        return {
            "up": _figures(self._up),
            "down": _figures(self._down),
            "clients": {
                f"{host}:{port}": [client.up_bytes, client.down_bytes]
                for (host, port), client in self._clients.items()
            },
            "lateness_p95": quantile(self._lateness, 0.95),
            "lateness_max": max(self._lateness, default=0.0),
        }

    # Datagrams coming in.

    def _read_clients(self) -> None:
        for _ in range(_READ_AT_ONCE):
            try:
                datagram, address = self._socket.recvfrom(_LARGEST_DATAGRAM)
            except BlockingIOError:
                return
            client = self._clients.get(address)
            if client is None:
                client = self._clients[address] = _Client(self._open_upstream(address))
            client.up_bytes += len(datagram)
            self._take_in(self._up, datagram, partial(_send_up, client))

    def _read_server(self, upstream: socket.socket, address: Address) -> None:
        for _ in range(_READ_AT_ONCE):
            try:
                datagram = upstream.recv(_LARGEST_DATAGRAM)
            except (BlockingIOError, ConnectionRefusedError):
                return
            self._take_in(self._down, datagram, partial(self._send_down, address))

    def _take_in(self, way: Impairment, datagram: bytes, send: Send) -> None:
        now = self._loop.time()
        if now < self._cut_until:
            way.tally.cut += 1
            return
        for due, content in way.offer(now, datagram):
            heapq.heappush(self._due, (due, next(self._numbers), way, send, content))
        self._send_due()

    # Datagrams leaving.

    def _send_due(self) -> None:
        now = self._loop.time()
        while self._due and self._due[0][0] <= now:
            due, _, way, send, datagram = heapq.heappop(self._due)
            way.tally.pass_on(len(datagram))
            self._lateness.append(now - due)
            # A full buffer or a closed port loses datagrams, as on any network.
            with suppress(BlockingIOError, ConnectionRefusedError):
                send(datagram)
        self._arm()

    def _arm(self) -> None:
        if not self._due:
            return
        earliest = self._due[0][0]
        if self._timer is not None:
            if self._timer.when() <= earliest:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(earliest, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._send_due()

    def _send_down(self, address: Address, datagram: bytes) -> None:
        self._clients[address].down_bytes += len(datagram)
        self._socket.sendto(datagram, address)

    # Sockets.

    def _open_upstream(self, client: Address) -> socket.socket:
        upstream = _udp(self._target[0])
        if self._source:
            upstream.bind((self._source, 0))
        upstream.connect(self._target)
        self._loop.add_reader(upstream, self._read_server, upstream, client)
        return upstream

    def _close(self, udp: socket.socket) -> None:
        self._loop.remove_reader(udp)
        udp.close()


def _send_up(client: _Client, datagram: bytes) -> None:
    client.upstream.send(datagram)


def _udp(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.setblocking(False)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    return udp


def _figures(way: Impairment) -> dict[str, Any]:
    return {
        **asdict(way.tally),
        "queue_delay_p95": quantile(way.queue_delays, 0.95),
        "queue_delay_max": max(way.queue_delays, default=0.0),
    }


# In a process of its own.


async def _serve(start: dict[str, Any]) -> None:
    conditions = Conditions.from_document(start["conditions"])
    host, port = start["target"]
    forwarder = Forwarder((host, port), conditions, start["seed"], start["host"])
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _say(forwarder.address)
    # The end of the input is the end of whoever wanted the link.
    while line := await reader.readline():
        order = json.loads(line)
        _say(getattr(forwarder, order["do"])(**order["with"]))
    forwarder.close()


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


def main() -> None:
    """Run the link that the first line of standard input describes, until that ends."""
    start = json.loads(sys.stdin.readline())
    # epoll waits in whole milliseconds, select in microseconds.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_serve(start))


if __name__ == "__main__":
    main()
