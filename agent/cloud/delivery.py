"""Empties the outbox: in order, at least once, whenever the link is up."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection
from dataclasses import dataclass

from aiocoap import Code

from agent.cloud.reporting import report_of
from agent.journal.outbox import REPORTING, STREAMING, Kind, Message, Outbox, Queued
from agent.journal.schema import journal_errors
from protocol.backoff import Backoff
from protocol.errors import LinkError, ProtocolError, ResponseError, TooManyRequests
from protocol.session import DeviceSession
from protocol.trouble import Trouble
from states.ports import Postponed

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
"""How long a server error or a 4.29 is waited out at first."""


@dataclass(frozen=True)
class Urgency:
    """What is sent together, and how.

    ``batch`` deliveries are noted in the journal together, for flash wears; a power cut repeats
    so many at most. ``longest_pause`` in seconds: what is less urgent leaves a busy server to the
    rest for longer each time.
    """

    kinds: Collection[Kind]
    batch: int
    longest_pause: float


REPORTS = Urgency(REPORTING, batch=1, longest_pause=PAUSE_SECONDS)
TELEMETRY = Urgency(STREAMING, batch=16, longest_pause=60.0)


class Delivery:
    """Sends what the outbox holds of one urgency; never loses a message to a restart.

    Each urgency has a delivery of its own, so that a report waits for no long document.
    """

    def __init__(self, outbox: Outbox, session: DeviceSession, urgency: Urgency) -> None:
        self._outbox = outbox
        self._session = session
        self._kinds, self._batch = urgency.kinds, urgency.batch
        self._backoff = Backoff(PAUSE_SECONDS, urgency.longest_pause)
        self._trouble = Trouble(logger, f"sending {' and '.join(urgency.kinds)}")
        self._delivered: list[Queued] = []

    async def run(self) -> None:
        """Deliver for ever."""
        try:
            while True:
                await self._step()
        finally:
            self._note_delivered()

    async def _step(self) -> None:
        last = self._delivered[-1].id if self._delivered else 0
        queued = self._outbox.next(self._kinds, after=last)
        full = len(self._delivered) >= self._batch
        if (full or queued is None or not self._session.connected) and not self._note_delivered():
            await asyncio.sleep(PAUSE_SECONDS)
        elif queued is None:
            await self._outbox.news()
        else:
            await self._session.wait_connected()
            if await self._is_done_with(queued.message):
                self._delivered.append(queued)

    def _note_delivered(self) -> bool:
        try:
            with journal_errors():
                self._outbox.delivered(self._delivered)
        except Postponed as full:
            self._trouble.failed(full)
            return False
        self._delivered = []
        return True

    async def _is_done_with(self, message: Message) -> bool:
        try:
            await self._send(message)
        except LinkError:
            return False
        except TooManyRequests as busy:
            await asyncio.sleep(max(busy.retry_after or 0.0, self._backoff.next_wait()))
            return False
        except ProtocolError as refusal:
            self._trouble.failed(refusal)
            if _may_pass(refusal):
                await self._backoff.pause()
                return False
            # What the server will never take must not block what comes after it.
            return True
        self._backoff.reset()
        self._trouble.recovered()
        return True

    async def _send(self, message: Message) -> None:
        if message.kind is Kind.REPORT:
            await self._session.report(report_of(message))
        elif message.kind is Kind.STATE:
            await self._session.set_state(message.topic, json.loads(message.body))
        else:
            await self._session.stream(message.topic, message.body.encode())


def _may_pass(refusal: ProtocolError) -> bool:
    """Whether the same may be accepted later; 4.08: the server lost some blocks of it."""
    if not isinstance(refusal, ResponseError):
        return False
    return bool(refusal.code.class_ == 5 or refusal.code == Code.REQUEST_ENTITY_INCOMPLETE)
