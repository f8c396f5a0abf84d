"""The device's session with its cloud: always connected as far as the network allows.

A link that dies is replaced by a new one (new socket, new handshake), the manifest is observed and
polled anew on each, and everything the device sends is paced by one budget::

    session = DeviceSession(host, 5684, source.read, on_manifest=…, on_connection=…)
    task = asyncio.create_task(session.run())
    await session.wait_connected()
    await session.block_turn(1024)
    session.ask_block("/.u/c/ai-model@2", 0, 6, settle=…)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aiocoap import Message

from protocol.backoff import Backoff
from protocol.block_requests import Settle
from protocol.client import ClientLink, connect
from protocol.credentials import Credential, utc_now
from protocol.device_settings import SettingsStatus, encode_settings_status, shortened
from protocol.errors import (
    CodecError,
    CredentialError,
    DeviceNotAdmitted,
    LinkError,
    LinkLost,
    ProtocolError,
)
from protocol.exchange import Exchange
from protocol.following import fetch
from protocol.formats import ContentFormat
from protocol.manifest import Manifest, decode_manifest
from protocol.pacing import Lane, Pacer
from protocol.report import OtaReport, encode_report
from protocol.requests import post
from protocol.rpc import RpcResult, encode_result
from protocol.session_settings import SessionSettings
from protocol.subscriptions import DESIRED, Subscriptions, followed
from protocol.trouble import Trouble
from protocol.upkeep import use_until_lost
from protocol.uploads import MAX_PAYLOAD_BYTES, post_body
from protocol.values import LogLine, encode_log, encode_value

__all__ = ["DeviceSession", "SessionSettings", "Traffic"]

_BLOCK_OVERHEAD = 160  # request and answer beside the block itself, DTLS included

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Traffic:
    """Bytes over the air: UDP payloads with DTLS, without IP and UDP headers."""

    received_bytes: int = 0
    sent_bytes: int = 0


class DeviceSession:
    """One device's session. ``run()`` keeps it up; everything else may be called at any time.

    ``credential`` is asked before each handshake and may raise CredentialError; ``now`` is the time
    by which certificates are judged, for devices whose clock may be behind.

    ``on_manifest`` is called with every manifest that comes in, repeats included.
    ``on_connection(True, None)`` is called after each handshake, ``on_connection(False, error)``
    when the link is lost and after each failed attempt; the error carries advice. Both are called
    on the event loop and must be quick.

    Requests raise LinkError (LinkLost when not connected) or ResponseError; TooManyRequests means
    that the session has slowed down, so simply ask again.
    """

    def __init__(
        self,
        host: str,
        port: int,
        credential: Callable[[], Credential],
        *,
        now: Callable[[], datetime] = utc_now,
        settings: SessionSettings | None = None,
        on_manifest: Callable[[Manifest], None],
        on_connection: Callable[[bool, ProtocolError | None], None],
        subscriptions: Subscriptions | None = None,
    ) -> None:
        self._host, self._port, self._credential, self._now = host, port, credential, now
        self._settings = settings or SessionSettings()
        self._followed = followed(on_manifest, subscriptions or Subscriptions())
        self._on_connection = on_connection
        self._pacer = Pacer(self._settings.requests_per_second, self._settings.bytes_per_second)
        self._exchange = Exchange(self._pacer, self._settings.request_timeout)
        self._connected = asyncio.Event()
        self._link: ClientLink | None = None
        self._replacing = False
        self._past = Traffic()
        self._link_trouble = Trouble(logger, f"connection to {host}:{port}")

    @property
    def connected(self) -> bool:
        """Whether a link is up."""
        return self._connected.is_set()

    async def wait_connected(self) -> None:
        """Return as soon as a link is up."""
        await self._connected.wait()

    @property
    def traffic(self) -> Traffic:
        """Totals over all links so far."""
        if self._link is None:
            return self._past
        return Traffic(
            self._past.received_bytes + self._link.traffic.bytes_received,
            self._past.sent_bytes + self._link.traffic.bytes_sent,
        )

    async def run(self) -> None:
        """Connect and stay connected until cancelled."""
        settings = self._settings
        backoff = Backoff(settings.backoff_initial, settings.backoff_maximum)
        while True:
            try:
                await self._hold_one_link(backoff)
            except (LinkError, CredentialError) as error:
                if self._replacing:
                    self._replacing = False
                    self._on_connection(False, None)
                    backoff.reset()
                    continue
                self._link_trouble.failed(error)
                self._on_connection(False, error)
            await backoff.pause()

    def block_turn_at_once(self, block_size: int) -> bool:
        """Take the turn for one :meth:`ask_block`, if the budget has one without waiting."""
        return self._pacer.turn_at_once(Lane.BLOCKS, block_size + _BLOCK_OVERHEAD)

    async def block_turn(self, block_size: int) -> None:
        """Wait for the turn for one :meth:`ask_block` of a block of so many bytes."""
        await self._pacer.turn(Lane.BLOCKS, block_size + _BLOCK_OVERHEAD)

    def ask_block(
        self, uri: str, number: int, size_exponent: int, settle: Settle, *, confirmable: bool
    ) -> bytes:
        """Ask for block ``number`` of 2^(``size_exponent`` + 4) bytes of an artifact.

        ``uri`` is the manifest's. Nothing is waited for or sent again: ``settle`` is called when
        the answer or an error comes (LinkError, LinkLost when the link dies, ResponseError), maybe
        before this returns, or never. What comes may be another block than the one asked for. Any
        number may be under way. Returns a token for :meth:`forget_block`. Raises LinkLost when not
        connected.
        """
        return self._exchange.ask_block(uri, number, size_exponent, settle, confirmable=confirmable)

    def forget_block(self, token: bytes) -> None:
        """Lose interest in an answer."""
        if self._link is not None:
            self._link.forget_block(token)

    def give_up_link(self, reason: str) -> None:
        """Replace a link that is useless though it looks alive, for ``reason``."""
        if self._link is not None:
            self._link.give_up(reason)

    def reconnect(self) -> None:
        """Make a new link at once, with what ``credential`` gives now; no failure is reported.

        Requests under way fail with LinkLost. Without a link nothing is done: the next one is
        under way anyhow.
        """
        if self._link is not None:
            self._replacing = True
            self._link.give_up("replaced by a link with another credential")

    async def fetch_manifest(self) -> Manifest:
        """GET the manifest now; raises CodecError as well."""
        return await fetch(self._exchange, DESIRED, decode_manifest)

    def limit_bytes(self, bytes_per_second: float | None) -> None:
        """Cap what the device takes of its link anew; None for no cap."""
        self._pacer.limit_bytes(bytes_per_second)

    async def report(self, report: OtaReport) -> None:
        """Send an OTA state report."""
        await self._post(f".u/c/{report.package}", encode_report(report))

    async def set_state(self, path: str, value: object) -> None:
        """Write a value to LightDB State at ``path``; an object is merged into what is there.

        Raises CodecError for a value that is no JSON or has more than 1024 bytes as CBOR.
        """
        await self._post(f".d/{path}", encode_value(value, ContentFormat.CBOR))

    async def report_settings(self, status: SettingsStatus) -> None:
        """Send the verdict on the settings; details and errors that do not fit are left out."""
        fitting = shortened(status, MAX_PAYLOAD_BYTES)
        await self._post(".c/status", encode_settings_status(fitting))

    async def answer(self, result: RpcResult) -> None:
        """Answer a call. Raises CodecError for more than 1024 bytes."""
        await self._post(".rpc/status", encode_result(result))

    async def request_certificate(self, signing_request: bytes) -> bytes:
        """Have a PKCS#10 request (DER) signed by the project's PKI provider; a DER certificate.

        Golioth: ``v1/csr``, in projects that have such a provider; elsewhere a ResponseError.
        """
        return await self._post("v1/csr", signing_request, ContentFormat.OCTETS)

    async def log(self, line: LogLine) -> None:
        """Send one log line."""
        await self._post(".s/logs", encode_log(line))

    async def stream(self, path: str, document: bytes) -> None:
        """Send a JSON text to LightDB Stream at ``path``, block-wise if it is a long one.

        It goes behind everything else; a long one again from its beginning when it fails.
        """

        async def send(message: Message) -> Message:
            return await self._exchange.request(message, Lane.BACKGROUND)

        await post_body(send, f".s/{path}", document, ContentFormat.JSON)

    async def _post(
        self, path: str, payload: bytes, content_format: ContentFormat = ContentFormat.CBOR
    ) -> bytes:
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise CodecError(
                f"{path}: {len(payload)} bytes are more than the {MAX_PAYLOAD_BYTES} of a message;"
                " split or shorten the value"
            )
        answer = await self._exchange.request(post(path, payload, content_format))
        return bytes(answer.payload)

    async def _hold_one_link(self, backoff: Backoff) -> None:
        """Connect and use the link until it is lost, which is raised."""
        settings = self._settings
        link = await connect(
            self._host,
            self._port,
            self._credential(),
            now=self._now(),
            handshake_timeout=settings.handshake_timeout,
            source_host=settings.source_host,
            in_flight=settings.in_flight,
        )
        loop = asyncio.get_running_loop()
        connected_at = loop.time()
        try:
            self._enter(link)
            await use_until_lost(link, self._exchange, self._followed, settings)
        except LinkLost:
            if link.was_refused:
                raise DeviceNotAdmitted from None
            raise
        finally:
            if loop.time() - connected_at >= settings.stable_after:
                backoff.reset()
            # At once: closing takes its time, and nobody shall wait for answers meanwhile.
            self._disconnect()
            try:
                await link.close()
            finally:
                self._past, self._link = self.traffic, None

    def _enter(self, link: ClientLink) -> None:
        self._link = link
        self._exchange.use(link)
        self._connected.set()
        self._link_trouble.recovered()
        self._on_connection(True, None)

    def _disconnect(self) -> None:
        self._exchange.use(None)
        self._connected.clear()
