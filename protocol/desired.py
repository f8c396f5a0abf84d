"""Following the manifest over one link.

It is observed, and polled as well because observations die silently. A poll that finds a manifest
nobody was notified of means that the observation is dead: it is registered again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from aiocoap import Message

from protocol.backoff import Backoff
from protocol.blocks import fetch_body
from protocol.client import Observation
from protocol.errors import CodecError, LinkError, LinkLost, ResponseError
from protocol.exchange import Exchange
from protocol.formats import MAX_DOCUMENT_BYTES, ContentFormat, is_acknowledgement
from protocol.manifest import Manifest, decode_manifest
from protocol.requests import get
from protocol.trouble import Trouble

DESIRED = ".u/desired"
_POLL_JITTER = 0.2

logger = logging.getLogger(__name__)


async def fetch_manifest(exchange: Exchange) -> Manifest:
    """GET the manifest, block-wise if need be. Raises LinkError, ResponseError, CodecError."""
    payload, content_format = await fetch_body(
        exchange.request, DESIRED, ContentFormat.CBOR, MAX_DOCUMENT_BYTES
    )
    return _decode(payload, content_format)


class ManifestWatcher:
    """Delivers the manifest whenever it comes in, repeats included, until the link is lost.

    ``poll_interval`` is in seconds and varied by a fifth so that a fleet does not poll in step;
    ``retry_initial`` is the first wait after a failed registration; it doubles up to that interval.
    """

    def __init__(
        self,
        exchange: Exchange,
        deliver: Callable[[Manifest], None],
        trouble: Trouble,
        *,
        poll_interval: float,
        retry_initial: float,
        answer_timeout: float,
    ) -> None:
        self._exchange = exchange
        self._deliver = deliver
        self._trouble = trouble
        self._poll_interval = poll_interval
        self._answer_timeout = answer_timeout
        self._backoff = Backoff(retry_initial, poll_interval)
        self._latest: Manifest | None = None

    async def run(self) -> None:
        """Observe and poll for ever; raises LinkLost."""
        while True:
            try:
                await self._observe()
            except LinkLost:
                raise
            except (LinkError, ResponseError) as error:
                self._trouble.failed(error)
            await self._backoff.pause()

    async def _observe(self) -> None:
        """One observation, from registration to its end."""
        message = get(DESIRED, ContentFormat.CBOR)
        observation = await self._exchange.observe(message)
        try:
            first = await self._next(observation, self._answer_timeout)
            if first is None:
                raise LinkError(f"{DESIRED}: no answer to the observation")
            await self._take(first)
            if first.opt.observe is not None:
                self._backoff.reset()
            while await self._follow(observation):
                pass
        finally:
            observation.cancel()

    async def _follow(self, observation: Observation) -> bool:
        """Wait for a notification or the time to poll; returns whether the observation goes on."""
        try:
            message = await self._next(observation, self._until_poll())
        except StopAsyncIteration:
            return False
        if message is None:
            return not await self._poll()
        await self._take(message)
        return True

    async def _poll(self) -> bool:
        """GET the manifest; returns whether it is one that nobody was notified of."""
        before = self._latest
        try:
            self._accept(await fetch_manifest(self._exchange))
        except LinkLost:
            raise
        except (LinkError, ResponseError, CodecError) as error:
            self._trouble.failed(error)
            return False
        return self._latest != before

    async def _take(self, message: Message) -> None:
        """Deliver what a notification says; raises ResponseError, LinkError."""
        self._exchange.checked(message)
        if is_acknowledgement(message.payload):
            return
        block = message.opt.block2
        try:
            if block is not None and block.more:
                # A notification carries the first block only (RFC 7959, 3.4).
                self._accept(await fetch_manifest(self._exchange))
            else:
                self._accept(_decode(message.payload, message.opt.content_format))
        except CodecError as error:
            # The observation itself is fine, and the next notification may mend the manifest.
            self._trouble.failed(error)

    def _accept(self, manifest: Manifest) -> None:
        self._trouble.recovered()
        self._latest = manifest
        self._deliver(manifest)

    def _until_poll(self) -> float:
        spread = random.uniform(-_POLL_JITTER, _POLL_JITTER)  # noqa: S311 - no secret
        return self._poll_interval * (1 + spread)

    @staticmethod
    async def _next(observation: Observation, seconds: float) -> Message | None:
        """The next message, None if none comes in time; raises StopAsyncIteration at the end."""
        try:
            async with asyncio.timeout(seconds):
                return await anext(observation)
        except TimeoutError:
            return None


def _decode(payload: bytes, content_format: int | None) -> Manifest:
    return decode_manifest(
        payload, ContentFormat.CBOR if content_format is None else content_format
    )
