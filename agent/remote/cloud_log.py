"""The device's log at Golioth: warnings and errors, a few at a time.

Nothing that is said about sending, the link or a busy server is sent itself, so that no line can
bring about another one. What does not fit the rate or the queue is counted, and the number told.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from agent.service.logs import CLOUD, one_line
from protocol.backoff import Backoff
from protocol.errors import LinkError, ProtocolError, TooManyRequests
from protocol.trouble import Trouble
from protocol.values import LogLevel, LogLine

logger = logging.getLogger(__name__)

LONGEST = 100
"""Lines that wait for a link; the oldest go first."""
BURST, SECONDS_PER_LINE = 20, 10.0
"""So many lines may go at once, and one in so many seconds after that."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0

ABOUT_SENDING = ("protocol", "coap", "asyncio", "agent.cloud", __name__)
"""Loggers that tell of the link and of sending; what is below them too."""

_sends = contextvars.ContextVar("sends", default=False)

Scrub = Callable[[bytes], bytes]


class Session(Protocol):
    """The session, as far as it is used here."""

    async def wait_connected(self) -> None:
        """Return as soon as a link is up."""

    async def log(self, line: LogLine) -> None:
        """Send one log line."""


class LineBudget:
    """How many lines may go: a burst, and then one after the other. ``now`` in seconds."""

    def __init__(self, now: float) -> None:
        self._lines, self._at = float(BURST), now

    def wait(self, now: float) -> float:
        """Seconds until the next line may go; 0 takes it."""
        self._lines = min(float(BURST), self._lines + (now - self._at) / SECONDS_PER_LINE)
        self._at = now
        if self._lines < 1 - 1e-9:
            return (1 - self._lines) * SECONDS_PER_LINE
        self._lines -= 1
        return 0.0


class CloudLog(logging.Handler):
    """Keeps lines until :meth:`run` has sent them. ``scrub`` takes secrets out of a text."""

    def __init__(self, scrub: Scrub) -> None:
        super().__init__()
        self.name = CLOUD
        self._scrub = scrub
        self._access = threading.Lock()
        self._waiting: deque[LogLine] = deque()
        self._left_out = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._trouble = Trouble(logger, "sending log lines")

    def emit(self, record: logging.LogRecord) -> None:
        """See :class:`logging.Handler`; called in any thread."""
        if _sends.get() or is_about_sending(record):
            return
        line = line_of(record, self._scrub)
        with self._access:
            if self._waiting and self._waiting[-1] == line:
                self._left_out += 1
                return
            self._waiting.append(line)
            if len(self._waiting) > LONGEST:
                self._waiting.popleft()
                self._left_out += 1
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    async def run(self, session: Session) -> None:
        """Send lines as they come, for ever."""
        _sends.set(True)
        self._loop = asyncio.get_running_loop()
        budget = LineBudget(time.monotonic())
        backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._news.set()
        while True:
            await self._news.wait()
            self._news.clear()
            while (line := self._next()) is not None:
                await self._turn(budget)
                await self._deliver(line, session, backoff)

    @staticmethod
    async def _turn(budget: LineBudget) -> None:
        while wait := budget.wait(time.monotonic()):  # noqa: ASYNC110 - the budget has no event
            await asyncio.sleep(wait)

    def _next(self) -> LogLine | None:
        with self._access:
            if self._waiting:
                return self._waiting.popleft()
            if not self._left_out:
                return None
            text = f"{self._left_out} more lines were left out; the device's own log has them"
            self._left_out = 0
        return LogLine(LogLevel.WARN, __name__, text)

    async def _deliver(self, line: LogLine, session: Session, backoff: Backoff) -> None:
        """Send one line, however long that takes; one the server will never take is dropped."""
        while True:
            await session.wait_connected()
            try:
                await session.log(line)
            except TooManyRequests as busy:
                await asyncio.sleep(max(busy.retry_after or 0.0, backoff.next_wait()))
                continue
            except LinkError:
                await backoff.pause()
                continue
            except ProtocolError as refusal:
                self._trouble.failed(refusal)
                return
            backoff.reset()
            self._trouble.recovered()
            return


def is_about_sending(record: logging.LogRecord) -> bool:
    """Whether a line tells of the link or of sending: by its logger, or by :class:`Trouble`."""
    name = record.name
    by_name = any(name == about or name.startswith(f"{about}.") for about in ABOUT_SENDING)
    return by_name or getattr(record, "about_link", False)


def line_of(record: logging.LogRecord, scrub: Scrub) -> LogLine:
    """A record as Golioth takes it."""
    clean = scrub(one_line(record).encode(errors="replace")).decode(errors="replace")
    return LogLine(_level(record.levelno), record.name, clean)


def _level(number: int) -> LogLevel:
    if number >= logging.ERROR:
        return LogLevel.ERROR
    if number >= logging.WARNING:
        return LogLevel.WARN
    return LogLevel.INFO if number >= logging.INFO else LogLevel.DEBUG
