"""The configuration as it holds now: the file's and environment's, with the operator's over it.

What the operator set is remembered in the journal, so that it holds offline and after a restart. A
setting that is removed in the cloud goes back to the file's value. Parts of the agent whose values
may change follow them here instead of keeping a copy::

    live.follow(lambda settings: settings.download.bytes_per_second, set_byte_limit)
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

from agent.config import Settings
from agent.journal.facts import Facts
from agent.remote.keys import Merged, merge
from agent.service.refusals import left_out
from protocol.backoff import Backoff
from protocol.device_settings import DeviceSettings, SettingsStatus, encode_settings_status
from protocol.errors import LinkError, ProtocolError, TooManyRequests
from protocol.formats import ContentFormat
from protocol.trouble import Trouble
from states.ports import Postponed

logger = logging.getLogger(__name__)

SETTINGS_FACT, TOLD_FACT = "settings", "settings_told"
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 60.0

Value = TypeVar("Value")


class Session(Protocol):
    """The session, as far as it is used here."""

    async def wait_connected(self) -> None:
        """Return as soon as a link is up."""

    async def report_settings(self, status: SettingsStatus) -> None:
        """Send the verdict on the settings."""


class LiveSettings:
    """Takes the operator's settings, tells who follows a value, and reports the verdict."""

    def __init__(self, file: Settings, facts: Facts) -> None:
        self._file = file
        self._facts = facts
        self._sent = remembered(facts.fact(SETTINGS_FACT))
        self._merged = merge(file, self._sent.values)
        self._followers: list[Callable[[], None]] = []
        self._news = asyncio.Event()
        self._trouble = Trouble(logger, "the verdict on the settings")

    @property
    def current(self) -> Settings:
        """The configuration now."""
        return self._merged.settings

    def follow(self, select: Callable[[Settings], Value], act: Callable[[Value], None]) -> None:
        """Call ``act`` with what ``select`` finds, now and whenever that changes.

        On the event loop; it must be quick and must not raise.
        """
        known = select(self.current)

        def look() -> None:
            nonlocal known
            found = select(self.current)
            if found != known:
                known = found
                act(found)

        self._followers.append(look)
        act(known)

    def take(self, sent: DeviceSettings) -> None:
        """Take over what the operator has set; the same again is nothing new."""
        if sent != self._sent:
            self._sent = sent
            document = {"version": sent.version, "values": dict(sent.values)}
            self._note(SETTINGS_FACT, json.dumps(document))
            self._merged = merge(self._file, sent.values)
            _log(sent, self._merged)
            for look in self._followers:
                look()
        self._news.set()

    def _note(self, name: str, text: str) -> None:
        try:
            self._facts.note_fact(name, text)
        except Postponed as trouble:
            logger.warning("the settings hold until the next start only: %s", trouble)

    @property
    def verdict(self) -> SettingsStatus | None:
        """What the operator is told; as in Golioth's SDK nothing when nothing is set."""
        if not self._sent.values:
            return None
        return SettingsStatus(self._sent.version, self._merged.errors)

    async def run(self, session: Session) -> None:
        """Report each new verdict, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self._report(session)

    async def _report(self, session: Session) -> None:
        backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while (verdict := self.verdict) is not None:
            text = encode_settings_status(verdict, ContentFormat.JSON).decode()
            told = None
            with left_out(self._trouble):
                told = self._facts.fact(TOLD_FACT)
            if told == text:
                return
            await session.wait_connected()
            try:
                await session.report_settings(verdict)
            except (LinkError, TooManyRequests):
                await backoff.pause()
                continue
            except ProtocolError as refusal:
                # With the next version, or the next link, it is tried again.
                self._trouble.failed(refusal)
                return
            self._trouble.recovered()
            self._note(TOLD_FACT, text)


def remembered(fact: str | None) -> DeviceSettings:
    """The operator's settings as the journal holds them."""
    if fact is None:
        return DeviceSettings()
    document = json.loads(fact)
    return DeviceSettings(document["version"], document["values"])


def _log(sent: DeviceSettings, merged: Merged) -> None:
    logger.info(
        "settings of version %d: %s in force, %s refused",
        *(sent.version, ", ".join(merged.in_force) or "none", len(merged.errors) or "none"),
    )
    for error in merged.errors:
        logger.warning("setting %s is not taken: %s", error.key, error.details)
