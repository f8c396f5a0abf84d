"""One DTLS connection as aiocoap sees it: the ``remote`` of its messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from aiocoap import interfaces
from aiocoap.error import AnonymousHost
from cryptography import x509

from protocol.dtls.connection import DtlsConnection
from protocol.errors import LinkError, LinkLost


@dataclass(frozen=True)
class Peer:
    """Who a DTLS session belongs to, proven by its handshake. Handlers: ``request.remote.peer``.

    ``identity`` is the PSK identity, None for kind "certificate", whose verified ``chain`` is set
    instead, from its own certificate to the trusted one. ``address`` is (host, port).
    """

    kind: Literal["psk", "certificate"]
    identity: str | None
    chain: tuple[x509.Certificate, ...]
    address: tuple[str, int]

    @property
    def certificate(self) -> x509.Certificate | None:
        """The peer's own certificate, None with PSK."""
        return self.chain[0] if self.chain else None


@dataclass
class Traffic:
    """Totals of one link, counted at the UDP payload: DTLS included, IP and UDP headers not."""

    datagrams_sent: int = 0
    datagrams_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    retransmissions: int = 0


class Surroundings(Protocol):
    """What a remote needs of the socket's owner."""

    @property
    def local_address(self) -> tuple[Any, ...]:
        """The socket's own address."""

    def transmit(self, remote: DtlsRemote, datagram: bytes) -> None:
        """Put a datagram on the wire."""

    def established(self, remote: DtlsRemote) -> None:
        """The handshake is done."""

    def arrived(self, remote: DtlsRemote, plaintext: bytes) -> None:
        """A decrypted record came in."""

    def ended(self, remote: DtlsRemote, error: LinkError) -> None:
        """The connection failed or was closed; called exactly once, nothing follows."""


class DtlsRemote(interfaces.EndpointAddress):  # type: ignore[misc]
    """One DTLS connection with its timer and its figures.

    Equality is identity: requests, responses and observations never cross from one DTLS connection
    to another (RFC 7252, 9.1.2), even at the same address.
    """

    scheme = "coaps"
    is_multicast = False
    is_multicast_locally = False

    def __init__(
        self, connection: DtlsConnection, address: tuple[Any, ...], surroundings: Surroundings
    ) -> None:
        self.socket_address = address
        self.traffic = Traffic()
        self.end: LinkError | None = None
        self._connection = connection
        self._surroundings: Surroundings | None = surroundings
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._peer: Peer | None = None
        self.last_received = self._loop.time()

    @property
    def peer(self) -> Peer:
        """Who is at the other end; known once the handshake is done."""
        if self._peer is None:
            raise LinkLost("the handshake was never finished")
        return self._peer

    @property
    def is_established(self) -> bool:
        """Whether the handshake is done and the connection lives."""
        return self._connection.established

    @property
    def cipher(self) -> str | None:
        """OpenSSL's name of the cipher suite."""
        return self._connection.cipher

    def start(self) -> None:
        """Begin the handshake."""
        self._step(self._connection.start)

    def receive(self, datagram: bytes) -> None:
        """Take in one datagram from the socket."""
        if self._surroundings is None:
            return
        self.traffic.datagrams_received += 1
        self.traffic.bytes_received += len(datagram)
        self.last_received = self._loop.time()
        plaintexts: list[bytes] = []
        self._step(lambda: plaintexts.extend(self._connection.feed(datagram)))
        for plaintext in plaintexts:
            if self._surroundings is not None:
                self._surroundings.arrived(self, plaintext)

    def send(self, plaintext: bytes) -> None:
        """Send one message; on a connection that has ended it is dropped."""
        if self._surroundings is not None:
            self._step(lambda: self._connection.send(plaintext))

    def fail(self, error: LinkError, *, tell_peer: bool = True) -> None:
        """End the connection for ``error``; an established session is closed with close_notify."""
        if self._surroundings is None:
            return
        if tell_peer:
            self._connection.close()
            self._flush()
        self._finish(error)

    def _step(self, step: Callable[[], None]) -> None:
        was_established = self._connection.established
        try:
            step()
        except LinkError as error:
            self._flush()
            self._finish(error)
            return
        self._flush()
        if self._connection.established and not was_established:
            self._enter_session()
        if not self._connection.established and self._surroundings is not None:
            self._arm_timer()

    def _enter_session(self) -> None:
        self._cancel_timer()
        try:
            chain = self._connection.peer_chain
        except LinkError as error:
            self.fail(error)
            return
        identity = self._connection.notes.psk_identity
        host, port = self.socket_address[:2]
        kind: Literal["psk", "certificate"] = "certificate" if chain else "psk"
        self._peer = Peer(kind, identity, chain, (host, port))
        if self._surroundings is not None:
            self._surroundings.established(self)

    def _flush(self) -> None:
        for datagram in self._connection.outgoing():
            self.traffic.datagrams_sent += 1
            self.traffic.bytes_sent += len(datagram)
            if self._surroundings is not None:
                self._surroundings.transmit(self, datagram)

    def _finish(self, error: LinkError) -> None:
        self._cancel_timer()
        self.end = error
        surroundings, self._surroundings = self._surroundings, None
        if surroundings is not None:
            surroundings.ended(self, error)

    def _arm_timer(self) -> None:
        self._cancel_timer()
        if (delay := self._connection.timeout()) is not None:
            self._timer = self._loop.call_later(delay, self._expire)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        self.traffic.retransmissions += 1
        self._step(self._connection.handle_timeout)

    # What else aiocoap asks of an address.

    @property
    def hostinfo(self) -> str:
        """The authority of the peer's URI."""
        return authority(self.socket_address)

    @property
    def hostinfo_local(self) -> str:
        """The authority of this side's URI."""
        if self._surroundings is None:
            raise AnonymousHost("the connection has ended")
        return authority(self._surroundings.local_address)

    @property
    def uri_base(self) -> str:
        """The peer's URI without a path."""
        return f"{self.scheme}://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        """This side's URI without a path."""
        return f"{self.scheme}://{self.hostinfo_local}"

    @property
    def blockwise_key(self) -> object:
        """Blocks are combined within one DTLS connection only."""
        return self

    def __repr__(self) -> str:
        return f"<DTLS to {self.hostinfo}>"


def authority(address: tuple[Any, ...]) -> str:
    """The host and port of a socket address as URIs have them (RFC 3986, 3.2)."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
