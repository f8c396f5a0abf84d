"""Empties the outbox: in order, at least once, whenever the link is up."""

from __future__ import annotations

import asyncio
import json
import logging

from agent.cloud.reporting import report_of
from agent.journal.outbox import Kind, Message, Outbox
from protocol.errors import LinkError, ProtocolError, ResponseError, TooManyRequests
from protocol.session import DeviceSession
from protocol.trouble import Trouble

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
"""How long a server error is waited out."""


class Delivery:
    """Sends what the outbox holds; never blocks an update, never loses a message to a restart."""

    def __init__(self, outbox: Outbox, session: DeviceSession) -> None:
        self._outbox = outbox
        self._session = session
        self._trouble = Trouble(logger, "reporting")

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            queued = self._outbox.oldest()
            if queued is None:
                await self._outbox.news()
                continue
            await self._session.wait_connected()
            if await self._delivered(queued.message):
                self._outbox.delivered(queued)

    async def _delivered(self, message: Message) -> bool:
        try:
            await self._send(message)
        except LinkError:
            return False
        except TooManyRequests as busy:
            await asyncio.sleep(busy.retry_after or PAUSE_SECONDS)
            return False
        except ProtocolError as refusal:
            self._trouble.failed(refusal)
            if isinstance(refusal, ResponseError) and refusal.code.class_ == 5:
                await asyncio.sleep(PAUSE_SECONDS)
                return False
            # What the server will never take must not block what comes after it.
            return True
        self._trouble.recovered()
        return True

    async def _send(self, message: Message) -> None:
        if message.kind is Kind.REPORT:
            await self._session.report(report_of(message))
        else:
            await self._session.set_state(message.topic, json.loads(message.body))
