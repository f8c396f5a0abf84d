"""A CoAP server over DTLS 1.2: PSK and X.509 clients on one UDP port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aiocoap import interfaces
from cryptography import x509

from protocol.credentials import ServerCredentials


@dataclass(frozen=True)
class Peer:
    """Who a DTLS session belongs to, proven by its handshake. Handlers: ``request.remote.peer``."""

    kind: Literal["psk", "certificate"]
    identity: str | None
    certificate: x509.Certificate | None
    address: tuple[str, int]


async def serve(
    site: interfaces.Resource,
    *,
    host: str,
    port: int,
    credentials: ServerCredentials,
    idle_timeout: float = 3 * 3600.0,
) -> Server:
    """Serve ``site`` until the server is closed. Port 0 takes any free port, see ``Server.address``.

    A session without traffic for ``idle_timeout`` seconds is dropped (Golioth: 3 hours).
    Raises OSError when the address can't be bound, CredentialError for the server's own files.
    """
    raise NotImplementedError


class Server:
    """A running server. Each DTLS session is one object, seen by handlers as ``request.remote``."""

    address: tuple[str, int]

    def __len__(self) -> int:
        """Established sessions."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[interfaces.EndpointAddress]:
        """The established sessions; each has ``peer``, ``traffic``, ``last_received``."""
        raise NotImplementedError

    def drop(self, session: interfaces.EndpointAddress) -> None:
        """End a session with close_notify; its observations end."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Read ``client_roots`` and the server's certificate again, for the handshakes to come."""
        raise NotImplementedError

    async def close(self) -> None:
        """Send close_notify to every session and free the port."""
        raise NotImplementedError
