"""How DTLS remotes and aiocoap's layers are put together, the same way for both ends."""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass
from typing import cast

from aiocoap import Context, Message, interfaces
from aiocoap.error import Error

from protocol.errors import LinkError
from protocol.messages import EightByteTokens, WindowedMessageManager
from protocol.remote import DtlsRemote

log = logging.getLogger(__name__)

# aiocoap reports every retransmission and ping at INFO; whoever needs that can lower this level.
_COAP_LOGGER = f"{__package__}.coap"
logging.getLogger(_COAP_LOGGER).setLevel(logging.WARNING)

# As much as the system grants: a burst of handshakes or blocks must not overflow the socket.
_RECEIVE_BUFFER = 4 * 1024 * 1024
# asyncio allocates 256 KiB for every datagram it reads, which costs more than decrypting one.
_LARGEST_DATAGRAM = 16 * 1024


class _DtlsMessages(interfaces.MessageInterface):  # type: ignore[misc]
    """Between aiocoap's messages and DTLS records. Remotes are made by the socket's owner only."""

    def send(self, message: Message) -> None:
        message.remote.send(message.encode())

    async def recognize_remote(self, remote: object) -> bool:
        return isinstance(remote, DtlsRemote)

    async def determine_remote(self, message: Message) -> None:  # noqa: ARG002
        return None

    async def shutdown(self) -> None:
        return None


@dataclass(frozen=True)
class CoapStack:
    """aiocoap's layers over DTLS. ``context.shutdown()`` ends them."""

    context: Context
    tokens: EightByteTokens
    messages: WindowedMessageManager

    def arrived(self, remote: DtlsRemote, plaintext: bytes) -> None:
        """Take in one decrypted record; bytes that are no CoAP message are dropped."""
        try:
            message = Message.decode(plaintext, remote=remote)
        except (Error, ValueError) as error:
            log.debug("dropping a record from %r that is no CoAP message: %s", remote, error)
            return
        self.messages.dispatch_message(message)

    def ended(self, remote: DtlsRemote, error: LinkError) -> None:
        """Fail everything that waits for ``remote``."""
        self.messages.dispatch_error(error, remote)


def build_stack(site: interfaces.Resource | None, in_flight: int) -> CoapStack:
    """Put a context, token and message layers together on the running loop."""
    context = Context(loop=asyncio.get_running_loop(), serversite=site, loggername=_COAP_LOGGER)
    tokens = EightByteTokens(context)
    messages = WindowedMessageManager(tokens, in_flight)
    tokens.token_interface = messages
    messages.message_interface = _DtlsMessages()
    context.request_interfaces.append(tokens)
    return CoapStack(context, tokens, messages)


def datagram_transport(transport: asyncio.BaseTransport) -> asyncio.DatagramTransport:
    """asyncio's transport, set to read datagrams no larger than anything DTLS peers send."""
    datagrams = cast("asyncio.DatagramTransport", transport)
    datagrams.max_size = _LARGEST_DATAGRAM  # type: ignore[attr-defined]
    return datagrams


def open_socket(family: int) -> socket.socket:
    """A non-blocking UDP socket with a large receive buffer."""
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.setblocking(False)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    return udp
