"""A CoAP server over DTLS 1.2: PSK and X.509 clients on one UDP port."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from aiocoap import interfaces
from OpenSSL import SSL

from protocol.block_codec import BlockRequest, decode_request, encode_content
from protocol.blocks import Block
from protocol.credentials import ServerCredentials
from protocol.dtls.contexts import server_context
from protocol.dtls.listener import answer_client_hello
from protocol.dtls.records import client_hello_random
from protocol.errors import LinkError, LinkLost
from protocol.remote import DtlsRemote, Peer, Traffic
from protocol.transport import CoapStack, build_stack, datagram_transport, open_socket

__all__ = ["DtlsRemote", "Limits", "Peer", "Server", "Traffic", "serve"]

log = logging.getLogger(__name__)

# Clients repeat what they get no answer to after a second (RFC 6347, 4.2.4.1).
_SILENCE = 3.0


@dataclass(frozen=True)
class Limits:
    """What a server grants its clients; times in seconds.

    ``idle``: a session without traffic for so long is dropped (Golioth: 3 hours). ``handshake``: an
    unfinished one is dropped; small devices take seconds. ``half_open``: handshakes under way at a
    time; further clients wait until one is done or its client is silent. ``in_flight``:
    unacknowledged CONs per client.
    """

    idle: float = 3 * 3600.0
    handshake: float = 120.0
    half_open: int = 512
    in_flight: int = 4


@dataclass(frozen=True)
class _Entry:
    """The one DTLS connection that an address has now."""

    remote: DtlsRemote
    hello: bytes
    since: float


def _ignore(*_: object) -> None:
    return None


BlockSource = Callable[[DtlsRemote, BlockRequest], Block | None]
"""Finds a block at once, or leaves the request to the site by None."""


async def serve(
    site: interfaces.Resource,
    *,
    host: str,
    port: int,
    credentials: ServerCredentials,
    limits: Limits | None = None,
    blocks: BlockSource = _ignore,
    on_established: Callable[[DtlsRemote], None] = _ignore,
    on_ended: Callable[[DtlsRemote, LinkError], None] = _ignore,
) -> Server:
    """Serve ``site`` until the server is closed. Port 0 takes any free port: ``Server.address``.

    Handlers find out who asks by ``request.remote.peer``; ``request.remote`` is one object per DTLS
    session. Plain requests for one block are offered to ``blocks`` first: past aiocoap a download
    takes a fraction of the time. ``on_established`` and ``on_ended`` are told of sessions, not of
    failed handshakes.

    Raises OSError when the address can't be bound, CredentialError for the server's own files.
    """
    limits = limits or Limits()
    server = Server(credentials, build_stack(site, limits.in_flight), limits)
    server.on_established, server.on_ended, server.blocks = on_established, on_ended, blocks
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    udp = open_socket(found[0][0])
    try:
        udp.bind(found[0][4])
        await loop.create_datagram_endpoint(lambda: server, sock=udp)
    except OSError:
        udp.close()
        raise
    return server


class Server(asyncio.DatagramProtocol):
    """A running server, made by :func:`serve`. Iterate over it for the established sessions."""

    def __init__(self, credentials: ServerCredentials, stack: CoapStack, limits: Limits) -> None:
        self.on_established: Callable[[DtlsRemote], None] = _ignore
        self.on_ended: Callable[[DtlsRemote, LinkError], None] = _ignore
        self.blocks: BlockSource = _ignore
        self._credentials = credentials
        self._cookie_secret = secrets.token_bytes(32)
        self._context: SSL.Context
        self.refresh()
        self._stack = stack
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._entries: dict[tuple[Any, ...], _Entry] = {}
        self._half_open: dict[DtlsRemote, None] = {}  # oldest first
        self._transport: asyncio.DatagramTransport
        self._sweeper: asyncio.TimerHandle
        self._closed = asyncio.Event()

    @property
    def address(self) -> tuple[str, int]:
        """The host and port it is bound to."""
        host, port = self.local_address[:2]
        return host, port

    def __iter__(self) -> Iterator[DtlsRemote]:
        """The established sessions; each has ``peer``, ``traffic`` and ``last_received``."""
        return iter(
            [entry.remote for entry in self._entries.values() if entry.remote.is_established]
        )

    def __len__(self) -> int:
        """How many sessions are established."""
        return len(self._entries) - len(self._half_open)

    def drop(self, session: DtlsRemote) -> None:
        """End a session with close_notify; its observations end, its requests are abandoned."""
        session.fail(LinkLost("dropped by the server"))

    def refresh(self) -> None:
        """Read ``client_roots`` and the server's certificate again, for handshakes to come.

        Raises CredentialError; the old ones then stay in use.
        """
        self._context = server_context(self._credentials, self._cookie_secret)

    async def close(self) -> None:
        """Send close_notify to every session and free the port."""
        if not self._transport.is_closing():
            self._sweeper.cancel()
            for entry in list(self._entries.values()):
                entry.remote.fail(LinkLost("the server is closing"))
            self._transport.close()
            await self._stack.context.shutdown()
        await self._closed.wait()

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the way out and start looking after expiry."""
        self._transport = datagram_transport(transport)
        self._schedule_sweep()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The port is free again."""
        self._closed.set()

    def error_received(self, exc: Exception) -> None:
        """A failed send; retransmission or the client's next handshake mends it."""
        log.debug("sending a datagram failed: %s", exc)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Give it to the address's connection, unless it begins a new handshake.

        The ClientHello of a new handshake differs in its random from the one that made the
        present connection; it is answered beside it, and replaces it only once its cookie proves
        the address (RFC 6347, 4.2.8).
        """
        hello = client_hello_random(data)
        entry = self._entries.get(addr)
        if hello is not None and (entry is None or entry.hello != hello):
            self._greet(data, addr, hello)
        elif entry is not None:
            entry.remote.receive(data)

    def _greet(self, data: bytes, address: tuple[Any, ...], hello: bytes) -> None:
        connection, replies = answer_client_hello(self._context, data, repr(address))
        for reply in replies:
            self._transport.sendto(reply, address)
        if connection is None or not self._makes_room():
            return
        if old := self._entries.get(address):
            old.remote.fail(LinkLost("replaced by a new handshake"), tell_peer=False)
        remote = DtlsRemote(connection, address, self)
        self._entries[address] = _Entry(remote, hello, self._loop.time())
        self._half_open[remote] = None
        remote.start()

    def _makes_room(self) -> bool:
        """Whether one more handshake may begin; the oldest gives way if its client has gone silent.

        If it has not, the new client waits: it sends its ClientHello again, later each time. To end
        a handshake that goes on would make its client time out, and a crowd would never get in.
        """
        if len(self._half_open) < self._limits.half_open:
            return True
        oldest = next(iter(self._half_open))
        if self._loop.time() - oldest.last_received < _SILENCE:
            return False
        oldest.fail(LinkError("too many handshakes at a time"))
        return True

    # The remotes' side.

    @property
    def local_address(self) -> tuple[Any, ...]:
        """The socket's own address."""
        return cast("tuple[Any, ...]", self._transport.get_extra_info("sockname"))

    def transmit(self, remote: DtlsRemote, datagram: bytes) -> None:
        """Put a datagram on the wire."""
        self._transport.sendto(datagram, remote.socket_address)

    def established(self, remote: DtlsRemote) -> None:
        """The handshake is done."""
        self._half_open.pop(remote, None)
        self.on_established(remote)

    def arrived(self, remote: DtlsRemote, plaintext: bytes) -> None:
        """A decrypted record came in."""
        request = decode_request(plaintext)
        block = None if request is None else self.blocks(remote, request)
        if request is None or block is None:
            self._stack.arrived(remote, plaintext)
        else:
            message_id = self._stack.messages.next_message_id()
            remote.send(encode_content(request, block, message_id))

    def ended(self, remote: DtlsRemote, error: LinkError) -> None:
        """Forget a connection, and fail what still waits for it."""
        entry = self._entries.get(remote.socket_address)
        if entry is not None and entry.remote is remote:
            del self._entries[remote.socket_address]
        if remote in self._half_open:
            del self._half_open[remote]
            log.info("handshake with %s failed: %s", remote.hostinfo, error)
            return
        self._stack.ended(remote, error)
        self.on_ended(remote, error)

    # Expiry.

    def _schedule_sweep(self) -> None:
        period = min(60.0, self._limits.idle / 4, self._limits.handshake / 4)
        self._sweeper = self._loop.call_later(period, self._sweep)

    def _sweep(self) -> None:
        # First: what the owner's callbacks raise must not be the end of it.
        self._schedule_sweep()
        now = self._loop.time()
        for entry in list(self._entries.values()):
            if now - entry.remote.last_received > self._limits.idle:
                entry.remote.fail(LinkLost("idle for too long"))
            elif entry.remote in self._half_open and now - entry.since > self._limits.handshake:
                entry.remote.fail(LinkError("the handshake took too long"))
