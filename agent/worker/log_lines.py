"""The worker's warnings and errors, kept until the agent has them.

The worker has no link to the cloud; the agent takes these lines over the control socket and sends
them with its own. It waits there for the next one, so that a worker that is killed has told what
led to that; and a line is forgotten only when the agent says that it has arrived.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from agent.control.parameters import Method, Parameters, optional_text, whole_number
from agent.service.logs import CLOUD, add_cloud_handler, one_line

KEPT = 50
"""Lines that wait for an agent that is away; the oldest go first, and are counted."""
LONGEST_WAIT_SECONDS = 60
"""Most that an answer is put off."""


class LogLines(logging.Handler):
    """A handler of the root logger, and the method ``log-lines`` of the control socket.

    Made on the worker's event loop, on which whoever waits for lines is told of them.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.name = CLOUD
        self._instance = uuid4().hex
        self._lines: deque[dict[str, Any]] = deque()
        self._before = 0
        """How many lines were said before the first that is kept."""
        self._arrived = 0
        """How many lines the agent has, or knows to be left out."""
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """See :class:`logging.Handler`; called in any thread, under the handler's lock."""
        line = {"level": record.levelno, "logger": record.name, "message": one_line(record)}
        self._lines.append(line)
        if len(self._lines) > KEPT:
            self._drop_first()
        self._loop.call_soon_threadsafe(self._news.set)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Keep what is logged meanwhile."""
        add_cloud_handler(self)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(self)

    def table(self) -> Mapping[str, Method]:
        """Methods of the control socket by name."""
        return {"log-lines": self.take}

    async def take(self, parameters: Parameters) -> dict[str, Any]:
        """The lines that have not arrived, oldest first, and how many there was no room for.

        ``instance`` differs from one start of the worker to the next; ``last`` is the number of the
        newest line. With both a later call says that all up to there have arrived. While there are
        none, the answer is put off for up to ``wait`` seconds.
        """
        instance, last = optional_text(parameters, "instance"), whole_number(parameters, "last", 0)
        if instance == self._instance:
            self._forget(last)
        self._news.clear()
        if not self._lines:
            wait = min(whole_number(parameters, "wait", 0), LONGEST_WAIT_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()
        return self._account()

    def _account(self) -> dict[str, Any]:
        self.acquire()
        try:
            return {
                "instance": self._instance,
                "lines": list(self._lines),
                "left_out": max(0, self._before - self._arrived),
                "last": self._before + len(self._lines),
            }
        finally:
            self.release()

    def _forget(self, last: int) -> None:
        self.acquire()
        try:
            while self._lines and self._before < last:
                self._drop_first()
            self._arrived = max(self._arrived, min(last, self._before))
        finally:
            self.release()

    def _drop_first(self) -> None:
        self._lines.popleft()
        self._before += 1
