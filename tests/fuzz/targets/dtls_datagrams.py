"""Datagrams from strangers and forgers: to a server and a client, at every stage of DTLS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from OpenSSL import SSL

from protocol.credentials import (
    CertificateCredential,
    PskCredential,
    ServerCredentials,
)
from protocol.dtls.connection import DtlsConnection
from protocol.dtls.contexts import client_context, server_context
from protocol.dtls.listener import answer_client_hello
from protocol.errors import LinkError
from protocol.server import Limits, Server
from protocol.transport import build_stack
from tests.fuzz.memory_link import Datagrams, settled
from tests.fuzz.target import Attempt, chosen, joined, pieces, refusing, require
from tests.support.pki import Authority

PSK = PskCredential("camera-1@warehouse", b"not-a-secret-worth-keeping")
KNOWN, STRANGER = ("192.0.2.7", 40_000), ("198.51.100.9", 40_001)
_COOKIES = b"cookie secret of a fuzzed server"
_MOST_DATAGRAMS = 24


class _Pki:
    """An authority, a device's credential and a server's, for a while."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder, "Root golioth")
        issued, server = authority.device("camera-2"), authority.server("localhost")
        self.device = CertificateCredential(issued.certificate, issued.key, authority.bundle)
        self.server = ServerCredentials(
            {PSK.identity: PSK.key}.get, server.certificate, server.key, lambda: [authority.root]
        )


class _Ends:
    """A server with one established session, the client of it, and what makes new ones."""

    def __init__(self, pki: _Pki) -> None:
        self._contexts = [client_context(PSK), client_context(pki.device)]
        self._server_context = server_context(pki.server, _COOKIES)
        self.server = Server(pki.server, build_stack(None, 4), Limits())
        self.transport = Datagrams()
        self.server.connection_made(self.transport)
        self.client = self._established()
        self.pair = _handshaken(self._contexts[0], self._server_context)

    def _established(self) -> DtlsConnection:
        client = DtlsConnection.client(self._contexts[0], "localhost")
        client.start()
        while not client.established:
            for datagram in client.outgoing():
                self.server.datagram_received(datagram, KNOWN)
            for datagram, _ in self.transport.sent:
                client.feed(datagram)
            self.transport.sent.clear()
        return client

    def to_server(self, datagrams: list[bytes], address: Any) -> None:
        """Whoever sends what, the known session goes on."""
        for datagram in datagrams:
            self.server.datagram_received(datagram, address)
        self.transport.sent.clear()
        self.client.send(bytes.fromhex("40000001"))
        for datagram in self.client.outgoing():
            self.server.datagram_received(datagram, KNOWN)
        replies = [
            plain
            for datagram, to in self.transport.sent
            if to == KNOWN
            for plain in self.client.feed(datagram)
        ]
        self.transport.sent.clear()
        require(bytes.fromhex("70000001") in replies, "the known session answers no more")

    def to_established_client(self, datagrams: list[bytes]) -> None:
        """Whoever sends what, an established client goes on."""
        client, server = self.pair
        for datagram in datagrams:
            client.feed(datagram)
        client.outgoing()
        server.send(b"still there?")
        received = [p for datagram in server.outgoing() for p in client.feed(datagram)]
        require(received == [b"still there?"], "an established client hears no more")

    def to_beginning_client(self, which: int, datagrams: list[bytes]) -> None:
        """A server that says anything at all to a ClientHello."""
        client = DtlsConnection.client(self._contexts[which], "localhost")
        client.start()
        client.outgoing()
        with refusing(LinkError):
            _feed(client, datagrams)
        client.outgoing()

    def to_beginning_server(self, datagrams: list[bytes]) -> None:
        """A client that has proved its address and then says anything at all."""
        client = DtlsConnection.client(self._contexts[0], "localhost")
        server = _greeted(client, self._server_context)
        with refusing(LinkError):
            server.start()
            _feed(server, datagrams)
        server.outgoing()

    def flights(self, which: int) -> tuple[list[bytes], list[bytes]]:
        """What client and server send for a handshake."""
        client = DtlsConnection.client(self._contexts[which], "localhost")
        server = _greeted(client, self._server_context)
        server.start()
        from_client, from_server = [], []
        while not (client.established and server.established):
            from_server += (sent := server.outgoing())
            _feed(client, sent)
            from_client += (sent := client.outgoing())
            _feed(server, sent)
        return from_client, from_server


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: a byte for who gets them, then datagrams."""
    with TemporaryDirectory() as folder, asyncio.Runner() as runner:
        ends: list[_Ends] = []
        pki = _Pki(Path(folder))

        async def attempt(data: bytes) -> None:
            if not ends:
                ends.append(_Ends(pki))
            number, rest = chosen(data, len(_stages(ends[0])))
            try:
                _stages(ends[0])[number](list(pieces(rest))[:_MOST_DATAGRAMS])
                await settled(2)
            except BaseException:
                # What is broken is no start for the next case.
                ends.clear()
                raise

        yield lambda data: runner.run(attempt(data))


def seeds() -> Iterator[bytes]:
    """Flights of real handshakes, and records with other bytes in them."""
    with TemporaryDirectory() as folder, asyncio.Runner() as runner:

        async def made() -> list[bytes]:
            ends = _Ends(_Pki(Path(folder)))
            found = []
            for which in range(2):
                client, server = ends.flights(which)
                found += [bytes([2 + 1 + which]) + joined(*server)]
                found += [bytes([5]) + joined(*client), bytes([which]) + joined(*client)]
            hello = DtlsConnection.client(client_context(PSK), "localhost")
            hello.start()
            return [*found, b"\x00" + joined(*hello.outgoing())]

        yield from runner.run(made())
    for kind in (20, 21, 22, 23, 24):
        for epoch in (0, 1):
            header = bytes([kind, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, 9])
            for body in (b"", b"\x02\x28", bytes(40)):
                yield bytes([kind % 3]) + joined(header + len(body).to_bytes(2, "big") + body)


def _stages(ends: _Ends) -> tuple[Callable[[list[bytes]], None], ...]:
    return (
        partial(ends.to_server, address=STRANGER),
        partial(ends.to_server, address=KNOWN),
        ends.to_established_client,
        partial(ends.to_beginning_client, 0),
        partial(ends.to_beginning_client, 1),
        ends.to_beginning_server,
    )


def _greeted(client: DtlsConnection, context: SSL.Context) -> DtlsConnection:
    """The server's end for a client that has shown the right cookie."""
    client.start()
    while True:
        (hello,) = client.outgoing()
        server, replies = answer_client_hello(context, hello, repr(KNOWN))
        if server is not None:
            return server
        _feed(client, replies)


def _handshaken(
    context: SSL.Context, server_side: SSL.Context
) -> tuple[DtlsConnection, DtlsConnection]:
    client = DtlsConnection.client(context, "localhost")
    server = _greeted(client, server_side)
    server.start()
    while not (client.established and server.established):
        _feed(client, server.outgoing())
        _feed(server, client.outgoing())
    return client, server


def _feed(connection: DtlsConnection, datagrams: list[bytes]) -> None:
    for datagram in datagrams:
        connection.feed(datagram)
