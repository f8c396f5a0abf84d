"""A device's link to the server: one UDP socket, one DTLS connection, one aiocoap context.

A new handshake always takes a new socket, because servers ignore a second handshake from a known
address; so a link that is lost is never mended, only replaced.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiocoap import Message

from protocol.credentials import Credential


@dataclass
class Traffic:
    """Totals of one link, counted at the UDP payload (DTLS records included, IP/UDP headers not)."""

    datagrams_sent: int = 0
    datagrams_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    retransmissions: int = 0


async def connect(
    host: str,
    port: int,
    credential: Credential,
    *,
    handshake_timeout: float = 20.0,
    source_host: str | None = None,
    in_flight: int = 32,
) -> ClientLink:
    """Open a link with a full DTLS 1.2 handshake on a new UDP socket.

    ``handshake_timeout`` (seconds) covers name resolution and every address of the name. ``source_host``
    binds the socket to a local address. At most ``in_flight`` confirmable messages are unacknowledged at
    a time (NSTART of RFC 7252, 4.7); further ones wait.

    Raises HandshakeTimedOut, HandshakeRefused, ServerUntrusted, LinkError (name not resolved, port
    closed), CredentialError.
    """
    raise NotImplementedError


class Observation:
    """Asynchronous iterator over the first response and then the notifications of one resource.

    It may skip to the newest notification (RFC 7641, 1.3), ends after a message without Observe option
    or with an error code (that message is yielded too), and raises LinkLost when the link dies.
    """

    def __aiter__(self) -> Observation:
        return self

    async def __anext__(self) -> Message:
        raise NotImplementedError

    def cancel(self) -> None:
        """Lose interest; the server is told by a reset on its next notification (RFC 7641, 3.6)."""
        raise NotImplementedError


class ClientLink:
    """An established link. ``lost`` is set for good when it dies or is closed."""

    lost: asyncio.Event
    last_received: float  # loop.time() of the last datagram
    traffic: Traffic

    @property
    def bytes_sent(self) -> int:
        """UDP payload bytes sent."""
        return self.traffic.bytes_sent

    @property
    def bytes_received(self) -> int:
        """UDP payload bytes received."""
        return self.traffic.bytes_received

    async def request(self, message: Message) -> Message:
        """Send one request and return its response, error codes included.

        Raises LinkLost, also for all outstanding requests when the link dies. No block-wise logic:
        set and read Block1/Block2 yourself. ``message.transport_tuning`` sets its retransmissions.
        Cancelling the task forgets the request.
        """
        raise NotImplementedError

    def observe(self, message: Message) -> Observation:
        """Register an observation: ``message`` is a GET; the Observe option is set here."""
        raise NotImplementedError

    async def ping(self, timeout: float) -> None:
        """CoAP ping (RFC 7252, 4.3); without an answer within ``timeout`` seconds the link is lost."""
        raise NotImplementedError

    async def close(self) -> None:
        """Send close_notify and close the socket; outstanding requests fail with LinkLost."""
        raise NotImplementedError
