"""Requests over whatever link is up: paced, timed, with errors as exceptions."""

from __future__ import annotations

import asyncio

from aiocoap import Message

from protocol.block_requests import Settle
from protocol.blocks import Block
from protocol.client import ClientLink, Observation
from protocol.errors import LinkError, LinkLost, ProtocolError, TooManyRequests
from protocol.pacing import MESSAGE_BYTES, Lane, Pacer
from protocol.requests import raise_for_error

# A server that acknowledges and answers pings but no requests needs a new session.
_MAX_UNANSWERED = 3


class Exchange:
    """The one way out for every request of a device.

    ``timeout`` is how many seconds an answer may take, retransmissions included.
    """

    def __init__(self, pacer: Pacer, timeout: float) -> None:
        self._pacer = pacer
        self._timeout = timeout
        self._link: ClientLink | None = None
        self._unanswered = 0

    @property
    def link(self) -> ClientLink:
        """The link that is up; raises LinkLost when there is none."""
        if self._link is None:
            raise LinkLost("not connected; try again once the connection is back")
        return self._link

    @property
    def is_deaf(self) -> bool:
        """Whether the server answers pings at most: several requests in a row went unanswered."""
        return self._unanswered >= _MAX_UNANSWERED

    def use(self, link: ClientLink | None) -> None:
        """Send over this link from now on, None when there is none."""
        self._link = link
        self._unanswered = 0

    async def request(self, message: Message, lane: Lane = Lane.MESSAGES) -> Message:
        """Send a request in its turn and return its 2.xx response.

        Raises ResponseError for an error code, LinkError without an answer in time, LinkLost when
        the link dies or there is none.
        """
        try:
            link = await self._ready(lane, len(message.payload))
            async with asyncio.timeout(self._timeout):
                response = await link.request(message)
        except LinkLost:
            # A dead link fails at once: whoever simply asks again would keep the event loop from
            # all else, also from noticing that the link is dead.
            await asyncio.sleep(0)
            raise
        except TimeoutError:
            self._unanswered += 1
            path = "/".join(message.opt.uri_path)
            raise LinkError(f"{path}: no answer within {self._timeout:g} s; try again") from None
        return self.checked(response)

    def ask_block(
        self, uri: str, number: int, size_exponent: int, settle: Settle, *, confirmable: bool
    ) -> bytes:
        """Ask for a block whose turn has come; see :meth:`ClientLink.ask_block`."""

        def settled(outcome: Block | ProtocolError) -> None:
            if not isinstance(outcome, LinkError):
                self._unanswered = 0
            if isinstance(outcome, TooManyRequests):
                self._pacer.slow_down(outcome.retry_after)
            settle(outcome)

        return self.link.ask_block(uri, number, size_exponent, settled, confirmable=confirmable)

    async def observe(self, message: Message, *, every: bool = False) -> Observation:
        """Register an observation in its turn; see :meth:`ClientLink.observe`."""
        link = await self._ready(Lane.MESSAGES, 0)
        return link.observe(message, every=every)

    def checked(self, response: Message) -> Message:
        """The response, unless it is an error code; a 4.29 slows everything down."""
        self._unanswered = 0
        try:
            raise_for_error(response)
        except TooManyRequests as error:
            self._pacer.slow_down(error.retry_after)
            raise
        return response

    async def _ready(self, lane: Lane, payload_bytes: int) -> ClientLink:
        # Before the wait, so that nobody queues for a link that is not there.
        _ = self.link
        await self._pacer.turn(lane, MESSAGE_BYTES + payload_bytes)
        return self.link
