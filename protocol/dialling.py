"""The client's socket: name resolution, the handshake with its time limit, and the datagrams."""

from __future__ import annotations

import asyncio
import logging
import socket
from datetime import datetime
from typing import Any, TypeAlias, cast

from OpenSSL import SSL

from protocol.block_requests import BlockRequests
from protocol.dtls.connection import DtlsConnection
from protocol.errors import HandshakeTimedOut, LinkError, LinkLost
from protocol.remote import DtlsRemote
from protocol.transport import CoapStack, datagram_transport, open_socket

log = logging.getLogger(__name__)

Address: TypeAlias = tuple[socket.AddressFamily, tuple[Any, ...]]


class Unreachable(LinkError):  # noqa: N818 - reads as what happened
    """Nobody at this address; another address of the same name may still do."""


class ClientSocket(asyncio.DatagramProtocol):
    """One connected UDP socket carrying one DTLS connection, from the first flight to the end."""

    def __init__(self, stack: CoapStack) -> None:
        self.stack = stack
        self.blocks = BlockRequests(self._send, stack.messages.next_message_id)
        self.lost = asyncio.Event()
        self.has_heard = False
        self.remote: DtlsRemote
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.DatagramTransport | None = None

    async def open(
        self,
        context: SSL.Context,
        host: str,
        address: Address,
        source_host: str | None,
        judged_at: datetime,
    ) -> None:
        """Handshake with ``address``, which must prove to be ``host`` if it has a certificate.

        That certificate is judged by the time ``judged_at``.
        """
        family, socket_address = address
        udp = open_socket(family)
        try:
            if source_host is not None:
                udp.bind((source_host, 0))
            udp.connect(socket_address)
            connection = DtlsConnection.client(context, host, judged_at)
            self.remote = DtlsRemote(connection, socket_address, self)
            loop = asyncio.get_running_loop()
            await loop.create_datagram_endpoint(lambda: self, sock=udp)
        except OSError as error:
            udp.close()
            raise _unreachable(socket_address, error) from error
        self.remote.start()
        try:
            await self._opened
        finally:
            if not self.remote.is_established:
                self.remote.fail(LinkError("the handshake was abandoned"))

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the way out."""
        self._transport = datagram_transport(transport)

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
        """Hand it to DTLS; the socket is connected, so it is from the server's address."""
        self.remote.receive(data)

    def error_received(self, exc: Exception) -> None:
        """An ICMP message or a failed send."""
        # Not at once: asyncio calls this from within sendto() as well.
        asyncio.get_running_loop().call_soon(self._weigh_error, exc)

    def _weigh_error(self, error: Exception) -> None:
        if not self.remote.is_established:
            self.remote.fail(_unreachable(self.remote.socket_address, error))
        elif isinstance(error, ConnectionRefusedError):
            self.remote.fail(LinkLost("the server is gone: its port is closed"))
        else:  # no route just now, for example: retransmissions may outlast it
            log.debug("sending to %r failed: %s", self.remote, error)

    # The remote's side.

    @property
    def local_address(self) -> tuple[Any, ...]:
        """The socket's own address."""
        if self._transport is None:
            raise LinkLost("the socket is closed")
        return cast("tuple[Any, ...]", self._transport.get_extra_info("sockname"))

    def transmit(self, remote: DtlsRemote, datagram: bytes) -> None:  # noqa: ARG002
        """Put a datagram on the wire."""
        if self._transport is not None:
            self._transport.sendto(datagram)

    def established(self, remote: DtlsRemote) -> None:  # noqa: ARG002
        """The handshake is done."""
        if not self._opened.done():
            self._opened.set_result(None)

    def arrived(self, remote: DtlsRemote, plaintext: bytes) -> None:
        """A decrypted record came in."""
        self.has_heard = True
        if not self.blocks.take_in(plaintext):
            self.stack.arrived(remote, plaintext)

    def _send(self, message: bytes) -> None:
        self.remote.send(message)

    def ended(self, remote: DtlsRemote, error: LinkError) -> None:
        """Everything that waits fails now; the socket is closed."""
        if not self._opened.done():
            self._opened.set_exception(error)
        self.stack.ended(remote, error)
        self.blocks.end(error)
        self.lost.set()
        if self._transport is not None:
            self._transport.close()
            self._transport = None


async def resolve(host: str, port: int, source_host: str | None) -> list[Address]:
    """The UDP addresses of a name, in the resolver's order; raises LinkError."""
    family = socket.AF_UNSPEC
    if source_host is not None:
        family = socket.AF_INET6 if ":" in source_host else socket.AF_INET
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise LinkError(
            f"the host name {host!r} can't be resolved ({error}); check it and the DNS"
        ) from error
    return [(entry[0], entry[4]) for entry in found]


def timed_out(where: str, seconds: float, *, answered: bool, with_psk: bool) -> HandshakeTimedOut:
    """The error for a handshake that never ended, with what its silence may mean."""
    if answered:
        cause = "it answers but does not go on: " + (
            "PSK-ID/PSK wrong" if with_psk else "packets lost"
        )
    else:
        cause = "nothing came back: unreachable" + (", or PSK-ID/PSK wrong" if with_psk else "")
    if with_psk:
        cause += " (a wrong key is never reported, only met with silence)"
    return HandshakeTimedOut(f"no DTLS session with {where} within {seconds:g} s; {cause}")


def _unreachable(address: tuple[Any, ...], error: Exception) -> Unreachable:
    where = f"{address[0]} port {address[1]}"
    if isinstance(error, ConnectionRefusedError):
        return Unreachable(
            f"nothing listens at {where}; check host and port, or wait for the server"
        )
    return Unreachable(f"{where} can't be reached ({error}); check the network")
