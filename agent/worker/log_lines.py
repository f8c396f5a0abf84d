"""The worker's warnings and errors, kept until the agent asks for them.

The worker has no link to the cloud; the agent takes these lines over the control socket and sends
them with its own. Each is given away once, so that neither end has to remember what was told.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from agent.control import Method, Parameters
from agent.service.logs import CLOUD, add_cloud_handler, one_line

KEPT = 50
"""Lines that wait for an agent that is away; the oldest go first, and are counted."""


class LogLines(logging.Handler):
    """A handler of the root logger, and the method ``log-lines`` of the control socket."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.name = CLOUD
        self._instance = uuid4().hex
        self._lines: deque[dict[str, Any]] = deque()
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """See :class:`logging.Handler`; called in any thread, under the handler's lock."""
        line = {"level": record.levelno, "logger": record.name, "message": one_line(record)}
        self._lines.append(line)
        if len(self._lines) > KEPT:
            self._lines.popleft()
            self._left_out += 1

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

    async def take(self, _parameters: Parameters) -> dict[str, Any]:
        """The lines since the last call, oldest first, and how many there was no room for.

        ``instance`` differs from one start of the worker to the next.
        """
        self.acquire()
        try:
            taken = {
                "instance": self._instance,
                "lines": list(self._lines),
                "left_out": self._left_out,
            }
            self._lines.clear()
            self._left_out = 0
        finally:
            self.release()
        return taken
