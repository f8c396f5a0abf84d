"""Looks after the credential in use: its expiry, its replacement, and what is told about it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from agent.cloud.reporting import LONGEST_DETAIL, STATE_PATH
from agent.credentials.keeper import Candidate, CredentialKeeper
from agent.credentials.known_time import KnownTime, as_text
from agent.credentials.renewal import is_due
from agent.journal.facts import Facts
from agent.journal.outbox import Kind, Message
from agent.service.refusals import left_out
from agent.wall_clock import utc_now
from protocol.errors import ProtocolError
from protocol.trouble import Trouble
from states.ports import Postponed

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How soon a certificate dropped in place is noticed; a look costs reading three small files."""
REMEMBER_SECONDS = 3600.0
CERTIFICATE_FACT, TIME_FACT = "certificate", "newest_time"
WARN_DAYS = 14.0


class Session(Protocol):
    """The session, as far as it is used here."""

    @property
    def connected(self) -> bool:
        """Whether a link is up."""

    def reconnect(self) -> None:
        """Make a new link with the present credential."""


class CredentialWatch:
    """Has a replaced credential used without a restart, and tells when it expires."""

    def __init__(
        self,
        keeper: CredentialKeeper,
        known_time: KnownTime,
        facts: Facts,
        tell: Callable[[Message, str], None],
    ) -> None:
        self._keeper = keeper
        self._time = known_time
        self._facts = facts
        self._tell = tell
        self._told = ""
        self._warned_day: int | None = None
        self._remembered_at: float | None = None
        self._met: tuple[datetime, float] | None = None
        """The time by which the last handshake was judged, and the loop's own time then."""
        self._trouble = Trouble(log, "noting how the credential does")

    def on_connection(self, connected: bool, error: ProtocolError | None) -> None:
        """Learn from how a connection went."""
        if connected:
            self._met = self._time.now(), asyncio.get_running_loop().time()
            self._describe()
        elif error is not None:
            self._keeper.failed(error)
            self._describe()

    def on_answer(self) -> None:
        """The server answers: the credential is good, and the time by which it was judged too."""
        try:
            self._keeper.proven()
        except Postponed as trouble:
            log.warning("old certificates stay on the disk for now: %s", trouble)
        now = asyncio.get_running_loop().time()
        if self._remembered_at is None or now - self._remembered_at >= REMEMBER_SECONDS:
            with left_out(self._trouble):
                self._remember_time(now)
                self._remembered_at = now

    def _remember_time(self, now: float) -> None:
        """For a start with a wrong clock. Only a time that something vouches for is believed.

        Both certificates were valid at the handshake, so it is as much later as the steady clock
        says; or a time server set the clock. What the clock says by itself counts for nothing: had
        it once jumped far ahead, every certificate would count as expired from then on.
        """
        if self._keeper.shown is not None and self._met is not None:
            judged_at, then = self._met
            moment = judged_at + timedelta(seconds=now - then)
        elif self._time.synchronized:
            moment = self._time.now()
        else:
            return
        self._facts.note_fact(TIME_FACT, as_text(moment))

    async def run(self, session: Session) -> None:
        """Look after it for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if session.connected and self._keeper.has_news():
                log.info("the credential was replaced; connecting anew with it")
                session.reconnect()
            self._describe()

    def _describe(self) -> None:
        shown = self._keeper.shown
        if shown is None:
            return
        document = describe(shown, self._time, self._keeper.problem)
        self._warn(shown, int(document["days_left"]))
        told = json.dumps(document)
        if told != self._told:
            with left_out(self._trouble):
                self._facts.note_fact(CERTIFICATE_FACT, told)
                self._tell(Message(Kind.STATE, f"{STATE_PATH}/certificate", told), utc_now())
                self._told = told

    def _warn(self, shown: Candidate, days_left: int) -> None:
        if days_left != self._warned_day and is_due(shown.leaf, self._time.now(), WARN_DAYS):
            self._warned_day = days_left
            log.warning("the device's certificate expires in %d days; renew it", days_left)


def describe(shown: Candidate, known_time: KnownTime, problem: str | None) -> dict[str, Any]:
    """What ``status --json`` and the device state say of the certificate in use."""
    left = shown.leaf.not_valid_after_utc - known_time.now()
    return {
        "subject": shown.subject.rfc4514_string(),
        "expires": as_text(shown.leaf.not_valid_after_utc),
        "days_left": left.days,
        "origin": shown.origin,
        "problem": problem[:LONGEST_DETAIL] if problem else None,
    }
