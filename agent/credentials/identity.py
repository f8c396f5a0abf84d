"""Everything about this device's credential that the agent runs, in one piece."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from agent.credentials.keeper import CredentialKeeper
from agent.credentials.known_time import KnownTime, from_text
from agent.credentials.renewal import Renewer
from agent.credentials.renewed import RenewedPairs
from agent.credentials.settings import GoliothSettings
from agent.credentials.watch import TIME_FACT, CredentialWatch
from agent.journal.journal import SqliteJournal
from protocol.credentials import Credential
from protocol.errors import ProtocolError
from protocol.session import DeviceSession


class DeviceIdentity:
    """Who this device is, for as long as it runs.

    Raises:
        ConfigurationError, CredentialError: as :meth:`GoliothSettings.source`.
    """

    def __init__(
        self,
        golioth: GoliothSettings,
        state_dir: Path,
        journal: SqliteJournal,
        known_time: KnownTime | None = None,
    ) -> None:
        self._time = known_time or KnownTime(from_text(journal.fact(TIME_FACT)))
        self._renewed = RenewedPairs(state_dir)
        self._keeper = CredentialKeeper(golioth.source(), self._renewed, self._time)
        self._watch = CredentialWatch(self._keeper, self._time, journal, journal.outbox.put)
        self._renew_days_before = golioth.renew_days_before

    def read(self) -> Credential:
        """The credential for a handshake now. Raises CredentialError."""
        return self._keeper.read()

    def now(self) -> datetime:
        """The time by which certificates are judged."""
        return self._time.now()

    def on_connection(self, connected: bool, error: ProtocolError | None) -> None:
        """Learn from how a connection went."""
        self._watch.on_connection(connected, error)

    def on_answer(self) -> None:
        """The server answers."""
        self._watch.on_answer()

    async def run(self, session: DeviceSession) -> None:
        """Watch and renew the credential of this session for ever."""
        renewer = Renewer(self._keeper, self._renewed, session, self._time, self._renew_days_before)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch.run(session))
            group.create_task(renewer.run())
