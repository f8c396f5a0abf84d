"""A device's link to the server: one UDP socket, one DTLS connection, one aiocoap context.

A new handshake always takes a new socket, because servers ignore a second handshake from a known
address; so a link that is lost is never mended, only replaced.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from aiocoap import Message
from aiocoap.pipe import Pipe
from cryptography import x509

from protocol.block_requests import Settle
from protocol.credentials import Credential, PskCredential, utc_now
from protocol.dialling import Address, ClientSocket, Unreachable, resolve, timed_out
from protocol.dtls.contexts import client_context
from protocol.dtls.failures import explained
from protocol.errors import HandshakeRefused, LinkError, LinkLost, PeerClosed
from protocol.observation import Observation
from protocol.remote import Traffic
from protocol.transport import build_stack

__all__ = ["ClientLink", "Observation", "Traffic", "connect"]


async def connect(
    host: str,
    port: int,
    credential: Credential,
    *,
    now: datetime | None = None,
    handshake_timeout: float = 20.0,
    source_host: str | None = None,
    in_flight: int = 32,
) -> ClientLink:
    """Open a link with a full DTLS 1.2 handshake on a new UDP socket.

    ``handshake_timeout`` (seconds) covers the name resolution and every address of the name.
    ``source_host`` binds the socket to a local address. At most ``in_flight`` confirmable messages
    are unacknowledged at a time (NSTART of RFC 7252, 4.7); further ones wait.

    Certificates are judged by ``now``, the wall clock when not given, but not earlier than the
    beginning of this device's own certificate: nobody issues one before its time.

    Raises HandshakeTimedOut, HandshakeRefused, DeviceCertificateRefused, ServerUntrusted, LinkError
    (name not resolved, port closed), CredentialError.
    """
    now = now or utc_now()
    context = client_context(credential)
    own = None if isinstance(credential, PskCredential) else credential.load().chain[0]
    judged_at = now if own is None else max(now, own.not_valid_before_utc)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + handshake_timeout
    addresses = await _resolved(host, port, source_host, deadline)
    failure = LinkError(f"the host name {host!r} has no address; check it")
    for tried, address in enumerate(addresses):
        # What is left is shared out, so that a dead IPv6 route leaves time for IPv4.
        share = (deadline - loop.time()) / (len(addresses) - tried)
        client = ClientSocket(build_stack(None, in_flight))
        try:
            async with asyncio.timeout(share):
                await client.open(context, host, address, source_host, judged_at)
            return ClientLink(client)
        except TimeoutError:
            failure = timed_out(
                f"{host}:{port}",
                handshake_timeout,
                answered=client.remote.traffic.datagrams_received > 0,
                with_psk=isinstance(credential, PskCredential),
            )
        except Unreachable as error:
            failure = error
        except HandshakeRefused as refusal:
            raise explained(refusal, own, now) from refusal
    raise failure


async def _resolved(
    host: str, port: int, source_host: str | None, deadline: float
) -> list[Address]:
    try:
        async with asyncio.timeout_at(deadline):
            return await resolve(host, port, source_host)
    except TimeoutError as error:
        raise LinkError(
            f"the host name {host!r} was not resolved in time; check the DNS"
        ) from error


class ClientLink:
    """An established link, made by :func:`connect`.

    ``lost`` is set for good when it dies or is closed. LinkLost from any method means the same: the
    link is finished, connect again.
    """

    def __init__(self, client: ClientSocket) -> None:
        self._client = client
        self.lost = client.lost
        self._blocks = client.blocks
        self._remote = client.remote
        self._stack = client.stack
        self._closed = False

    @property
    def traffic(self) -> Traffic:
        """Datagrams, bytes and retransmissions of this link; still readable after its end."""
        return self._remote.traffic

    @property
    def last_received(self) -> float:
        """When the last datagram came in, by ``loop.time()``."""
        return self._remote.last_received

    @property
    def was_refused(self) -> bool:
        """Whether the server closed it without a single answer."""
        return isinstance(self._remote.end, PeerClosed) and not self._client.has_heard

    @property
    def server_certificate(self) -> x509.Certificate | None:
        """What the server showed, None with PSK."""
        return self._remote.peer.certificate

    @property
    def cipher(self) -> str | None:
        """OpenSSL's name of the cipher suite in use."""
        return self._remote.cipher

    async def request(self, message: Message) -> Message:
        """Send one request and return its response, error codes included.

        Nothing block-wise is done here: set and read Block1 and Block2 yourself. Give the path by
        ``uri_path``, not ``uri`` (devices send no Uri-Host). ``message.transport_tuning`` sets its
        retransmissions; RFC 7252's defaults find a dead server only after 62 to 93 s. A message
        object can be sent once. Cancelling the task forgets the request.

        Raises LinkLost, for every outstanding request, when the link dies, and LinkError when the
        server rejects just this message with a reset.
        """
        answer: asyncio.Future[Pipe.Event] = asyncio.get_running_loop().create_future()

        def settle(event: Pipe.Event) -> bool:
            if not answer.done():
                answer.set_result(event)
            return False

        pipe = self._pipe(message)
        forget = pipe.on_event(settle)
        self._stack.tokens.request(pipe)
        try:
            event = await answer
        finally:
            forget()
            self._stack.messages.abandon(message)
        if event.exception is not None:
            raise self._failure(event.exception)
        return event.message

    def ask_block(
        self, uri: str, number: int, size_exponent: int, settle: Settle, *, confirmable: bool
    ) -> bytes:
        """Ask for one block, past aiocoap; ``settle`` gets the block or the error, maybe at once.

        It is sent once and waited for without end: retransmit it yourself, as a new request.
        Returns a token for :meth:`forget_block`. Raises LinkLost, and CodecError for a URI without
        a path.
        """
        self._require_open()
        return self._blocks.ask(uri, number, size_exponent, settle, confirmable=confirmable)

    def forget_block(self, token: bytes) -> None:
        """Lose interest in the answer to a block request."""
        self._blocks.forget(token)

    def give_up(self, reason: str) -> None:
        """Lose the link for ``reason``: everything under way fails with LinkLost."""
        self._remote.fail(LinkLost(reason))

    def observe(self, message: Message, *, every: bool = False) -> Observation:
        """Follow a resource: ``message`` is a GET, its Observe option is set here.

        With ``every`` no notification is skipped for a newer one.

        Raises LinkLost. A server that refuses says so in the first message of the iteration.
        """
        message.opt.observe = 0
        pipe = self._pipe(message)
        observation = Observation(pipe, self._failure, every=every)
        self._stack.tokens.request(pipe)
        return observation

    async def ping(self, timeout: float) -> None:
        """CoAP ping (RFC 7252, 4.3); without an answer within ``timeout`` seconds the link is lost.

        Raises LinkLost.
        """
        self._require_open()
        try:
            async with asyncio.timeout(timeout):
                await self._stack.messages.ping(self._remote)
        except TimeoutError:
            self._remote.fail(LinkLost(f"no answer to a ping within {timeout:g} s"))
        self._require_open()

    async def close(self) -> None:
        """Send close_notify and close the socket; outstanding requests fail with LinkLost."""
        if not self._closed:
            self._closed = True
            self._remote.fail(LinkLost("the link was closed by this side"))
            await self._stack.context.shutdown()

    def _pipe(self, message: Message) -> Pipe:
        self._require_open()
        message.remote = self._remote
        return Pipe(message, self._stack.context.log)

    def _require_open(self) -> None:
        if self._remote.end is not None:
            raise LinkLost(str(self._remote.end))

    def _failure(self, error: BaseException) -> LinkError:
        if self._remote.end is not None:
            return LinkLost(str(self._remote.end))
        return LinkError(f"the server rejected the message ({error!r})")
