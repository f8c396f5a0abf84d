"""Following one resource of the server (RFC 7641)."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from aiocoap import Message
from aiocoap.pipe import Pipe

from protocol.errors import LinkError

_SEQUENCE_HALF = 2**23
_MOST_EVENTS = 32  # waiting for a reader; a server that sends more at once loses the oldest
_SEQUENCE_EXPIRES = 128.0  # seconds after which any sequence number counts as newer (RFC 7641, 3.4)


class Observation:
    """Asynchronous iterator over the first response and then the notifications of one resource.

    A reader that is slow gets the newest state, not each one (RFC 7641, 1.3). The iteration ends
    after a message without Observe option, which says that no more will follow; that message is
    yielded too, so read its code. It raises LinkLost when the link dies.

    With ``every`` the notifications are events rather than states: a slow reader gets each of up to
    32, in the order of arrival.
    """

    def __init__(
        self, pipe: Pipe, failure: Callable[[BaseException], LinkError], *, every: bool = False
    ) -> None:
        self._failure = failure
        self._every = every
        self._waiting: deque[Message] = deque(maxlen=_MOST_EVENTS if every else 1)
        self._error: LinkError | None = None
        self._ended = False
        self._changed = asyncio.Event()
        self._sequence = 0
        self._sequence_at = float("-inf")
        self._stop: Callable[[], None] = pipe.on_event(self._take)

    def __aiter__(self) -> Observation:
        return self

    async def __anext__(self) -> Message:
        await self._changed.wait()
        if self._waiting:
            message = self._waiting.popleft()
            if not self._waiting and not self._ended:
                self._changed.clear()
            return message
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    def cancel(self) -> None:
        """Lose interest; the server is told by a reset on its next notification (RFC 7641, 3.6)."""
        self._ended = True
        self._changed.set()
        self._stop()

    def _take(self, event: Pipe.Event) -> bool:
        """What aiocoap's pipe calls; returns whether more is wanted."""
        if event.exception is not None:
            self._error = self._failure(event.exception)
        elif event.message is not None and (self._every or self._is_newer(event.message)):
            self._waiting.append(event.message)
        self._ended = self._ended or event.is_last
        if self._ended or self._waiting:
            self._changed.set()
        return not event.is_last

    def _is_newer(self, message: Message) -> bool:
        """Whether the notification was not overtaken on its way (RFC 7641, 3.4)."""
        if message.opt.observe is None:
            return True
        now = time.monotonic()
        ahead = (message.opt.observe - self._sequence) % (2 * _SEQUENCE_HALF)
        if not 0 < ahead < _SEQUENCE_HALF and now <= self._sequence_at + _SEQUENCE_EXPIRES:
            return False
        self._sequence, self._sequence_at = message.opt.observe, now
        return True
