"""Following a resource of the server over one link.

It is observed, and polled as well because observations die silently. A poll that finds something
nobody was notified of means that the observation is dead: it is registered again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from aiocoap import Message

from protocol.backoff import Backoff
from protocol.blocks import fetch_body
from protocol.client import Observation
from protocol.errors import CodecError, LinkError, LinkLost, ResponseError
from protocol.exchange import Exchange
from protocol.formats import MAX_DOCUMENT_BYTES, ContentFormat, is_acknowledgement
from protocol.requests import get
from protocol.trouble import Trouble

_POLL_JITTER = 0.2

Content = TypeVar("Content")
Decode = Callable[[bytes, int], Content]


@dataclass(frozen=True)
class Followed(Generic[Content]):
    """A resource, and who is told what it says.

    ``deliver`` gets everything that comes in, repeats included; ``decode`` raises CodecError. With
    ``events`` every notification counts for itself and a GET has nothing to say: none is skipped
    for a newer one, and instead of polling the observation is registered anew.
    """

    path: str
    decode: Decode[Content]
    deliver: Callable[[Content], None]
    trouble: Trouble
    events: bool = False


@dataclass(frozen=True)
class Pace:
    """Times in seconds.

    ``poll_interval`` is varied by a fifth so that a fleet does not poll in step; ``retry_initial``
    is the first wait after a failed registration; it doubles up to that interval.
    """

    poll_interval: float
    retry_initial: float
    answer_timeout: float


async def fetch(exchange: Exchange, path: str, decode: Decode[Content]) -> Content:
    """GET a document, block-wise if need be. Raises LinkError, ResponseError, CodecError."""
    return _decoded(decode, *await _fetch_body(exchange, path))


class Follower(Generic[Content]):
    """Delivers what a resource says whenever that comes in, until the link is lost."""

    def __init__(self, exchange: Exchange, followed: Followed[Content], pace: Pace) -> None:
        self._exchange = exchange
        self._followed = followed
        self._trouble = followed.trouble
        self._pace = pace
        self._backoff = Backoff(pace.retry_initial, pace.poll_interval)
        self._latest: tuple[Content] | None = None

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
        observation = await self._register()
        try:
            while (followed := await self._follow(observation)) is not None:
                observation = followed
        finally:
            observation.cancel()

    async def _register(self) -> Observation:
        path, events = self._followed.path, self._followed.events
        observation = await self._exchange.observe(get(path, ContentFormat.CBOR), every=events)
        try:
            first = await self._first(observation)
            if not await self._take(first) and not events:
                # Golioth: the bare OK may be all that a new observer gets.
                await self._poll()
        except BaseException:
            observation.cancel()
            raise
        if first.opt.observe is not None:
            self._backoff.reset()
        return observation

    async def _first(self, observation: Observation) -> Message:
        message = await self._next(observation, self._pace.answer_timeout)
        if message is None:
            raise LinkError(f"{self._followed.path}: no answer to the observation")
        return message

    async def _follow(self, observation: Observation) -> Observation | None:
        """Wait for a notification or the time to poll; what to follow next, None at the end."""
        try:
            message = await self._next(observation, self._until_poll())
        except StopAsyncIteration:
            return None
        if message is not None:
            await self._take(message)
            return observation
        if self._followed.events:
            return await self._replace(observation)
        return None if await self._poll() else observation

    async def _replace(self, observation: Observation) -> Observation:
        """Register anew; the old observation stays until then, so that no event falls between."""
        renewed = await self._register()
        try:
            with suppress(StopAsyncIteration):
                while (message := await self._next(observation, 0)) is not None:
                    await self._take(message)
        except BaseException:
            renewed.cancel()
            raise
        observation.cancel()
        return renewed

    async def _poll(self) -> bool:
        """GET the document; returns whether it is one that nobody was notified of."""
        before = self._latest
        try:
            self._accept(*await _fetch_body(self._exchange, self._followed.path))
        except LinkLost:
            raise
        except (LinkError, ResponseError, CodecError) as error:
            self._trouble.failed(error)
            return False
        return self._latest != before

    async def _take(self, message: Message) -> bool:
        """Deliver what a notification says, if it says more than OK; whether it does is returned.

        Raises ResponseError, LinkError.
        """
        self._exchange.checked(message)
        payload, content_format = message.payload, message.opt.content_format
        block = message.opt.block2
        try:
            if block is not None and block.more:
                # A notification carries the first block only (RFC 7959, 3.4).
                payload, content_format = await _fetch_body(self._exchange, self._followed.path)
            return self._accept(payload, content_format)
        except CodecError as error:
            # The observation itself is fine, and the next notification may mend the document.
            self._trouble.failed(error)
            return True

    def _accept(self, payload: bytes, content_format: int | None) -> bool:
        says_something = not is_acknowledgement(payload)
        if says_something:
            content = _decoded(self._followed.decode, payload, content_format)
            self._latest = (content,)
            self._followed.deliver(content)
        self._trouble.recovered()
        return says_something

    def _until_poll(self) -> float:
        spread = random.uniform(-_POLL_JITTER, _POLL_JITTER)  # noqa: S311 - no secret
        return self._pace.poll_interval * (1 + spread)

    @staticmethod
    async def _next(observation: Observation, seconds: float) -> Message | None:
        """The next message, None if none comes in time; raises StopAsyncIteration at the end."""
        try:
            async with asyncio.timeout(seconds):
                return await anext(observation)
        except TimeoutError:
            return None


async def _fetch_body(exchange: Exchange, path: str) -> tuple[bytes, int | None]:
    return await fetch_body(exchange.request, path, ContentFormat.CBOR, MAX_DOCUMENT_BYTES)


def _decoded(decode: Decode[Content], payload: bytes, content_format: int | None) -> Content:
    return decode(payload, ContentFormat.CBOR if content_format is None else content_format)
