"""Empties the outbox: in order, at least once, whenever the link is up."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from agent.cloud.attempts import PAUSE_SECONDS, Attempts, Fate
from agent.cloud.reporting import report_of
from agent.journal.outbox import REPORTING, STREAMING, Kind, Message, Outbox, Queued
from protocol.session import DeviceSession
from states.ports import Postponed


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
        self._attempts = Attempts(" and ".join(urgency.kinds), urgency.longest_pause)
        self._delivered: list[Queued] = []

    async def run(self) -> None:
        """Deliver for ever."""
        try:
            while True:
                try:
                    await self._step()
                except Postponed as full:
                    await self._attempts.wait_out(full)
        finally:
            # What can't be noted is sent again after the next start, as after a power cut.
            with suppress(Postponed):
                self._note_delivered()

    async def _step(self) -> None:
        last = self._delivered[-1].id if self._delivered else 0
        queued = self._outbox.next(self._kinds, after=last)
        if queued is None or len(self._delivered) >= self._batch or not self._session.connected:
            self._note_delivered()
        if queued is None:
            await self._outbox.news()
            return
        await self._session.wait_connected()
        if await self._attempts.make(self._send(queued.message)) is not Fate.LATER:
            self._delivered.append(queued)

    def _note_delivered(self) -> None:
        self._outbox.delivered(self._delivered)
        self._delivered = []

    async def _send(self, message: Message) -> None:
        if message.kind is Kind.REPORT:
            await self._session.report(report_of(message))
        elif message.kind is Kind.STATE:
            await self._session.set_state(message.topic, json.loads(message.body))
        else:
            await self._session.stream(message.topic, message.body.encode())
