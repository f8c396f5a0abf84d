"""A link whose datagrams and messages stay in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from aiocoap import Message

from protocol.errors import LinkLost
from protocol.remote import DtlsRemote, Peer
from tests.fuzz.target import Finding

ADDRESS = ("192.0.2.7", 40_000)
_SERVER_ERRORS = range(0xA0, 0xC0)


class OpenRemote(DtlsRemote):
    """The remote of an established session, past DTLS. ``sent`` are the messages for the peer."""

    def __init__(self, identity: str) -> None:
        self.sent: list[bytes] = []
        super().__init__(cast("Any", None), ADDRESS, cast("Any", None))
        self._peer = Peer("psk", identity, (), ADDRESS)

    def send(self, plaintext: bytes) -> None:
        """Keep it."""
        self.sent.append(plaintext)

    def fail(self, error: Exception, *, tell_peer: bool = True) -> None:
        """Nothing is open."""
        self.end = LinkLost(str(error))

    @property
    def hostinfo_local(self) -> str:
        """This side's authority."""
        return "cloud.invalid"


class Datagrams(asyncio.DatagramTransport):
    """A socket's transport; ``sent`` are datagrams with where they go."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("192.0.2.1", 5684)})
        self.sent: list[tuple[bytes, Any]] = []
        self.max_size = 0

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Keep it."""
        self.sent.append((bytes(data), addr))

    def close(self) -> None:
        """Nothing is open."""

    def is_closing(self) -> bool:
        """Never."""
        return False


async def settled(turns: int = 8) -> None:
    """Let whatever was begun go on."""
    for _ in range(turns):
        await asyncio.sleep(0)


def check_answers(messages: list[bytes]) -> list[Message]:
    """Raise Finding for an answer that is an internal error, or none that could be read."""
    answers = [Message.decode(message) for message in messages]
    for answer in answers:
        if int(answer.code) in _SERVER_ERRORS:
            raise Finding(f"answered with {answer.code}: {answer.payload[:200]!r}")
    return answers


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Let these loggers say nothing below an error: what is refused is refused very often."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Failures(logging.Handler):
    """Notes what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record)


@contextmanager
def no_error_logged() -> Iterator[None]:
    """Raise what was logged as an error with its exception: nobody foresaw it."""
    failures = _Failures()
    root = logging.getLogger()
    root.addHandler(failures)
    try:
        yield
    finally:
        root.removeHandler(failures)
    for record in failures.found:
        if record.exc_info and record.exc_info[1] is not None:
            raise record.exc_info[1]
        raise Finding(f"logged: {record.getMessage()[:300]}")
