"""Hands the worker's warnings and errors on to the device's log at Golioth.

On the device they are in the worker's own log already, so nobody reads them twice there.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from pydantic import BaseModel, NonNegativeInt, ValidationError

from agent.worker_port.errors import WorkerProtocolError
from protocol.trouble import Trouble
from states.ports import Postponed

logger = logging.getLogger(__name__)

WAIT_SECONDS = 30
"""How long the worker puts its answer off while it has nothing to say."""
PAUSE_SECONDS = 0.2
"""Between two answers, so that lines that come in a row are taken together."""
LOOK_SECONDS = 5.0
"""How soon a worker that is away is looked for again."""
AWAY_LOOKS = 6
"""Looks in vain after which a worker is no longer just starting again."""


class Line(BaseModel):
    """One line of the worker; ``level`` as :mod:`logging` counts."""

    level: int
    logger: str
    message: str


class Lines(BaseModel):
    """What has not arrived of what the worker said, as :mod:`agent.worker.log_lines` tells it."""

    instance: str
    lines: list[Line]
    left_out: NonNegativeInt
    last: NonNegativeInt


class LineSource(Protocol):
    """The worker, as far as it is asked here."""

    async def log_lines(self, instance: str | None, last: int, wait: int) -> dict[str, Any]:
        """Its warnings after the ``last`` one of this ``instance``, as soon as there are any.

        Without any it answers after ``wait`` seconds. Raises Postponed when it is away.
        """


class WorkerLines:
    """Takes the worker's lines, and says when it ended or stays away. ``cloud`` gets them."""

    def __init__(self, worker: LineSource, cloud: logging.Handler) -> None:
        self._worker = worker
        self._cloud = cloud
        self._in_vain = 0
        self._instance: str | None = None
        self._last = 0
        self._trouble = Trouble(logger, "the worker")

    async def run(self) -> None:
        """Hand lines on, for ever."""
        while True:
            heard = await self.look()
            await asyncio.sleep(PAUSE_SECONDS if heard else LOOK_SECONDS)

    async def look(self) -> bool:
        """Take what there is, or comes soon; False when the worker could not be heard."""
        try:
            answer = await self._worker.log_lines(self._instance, self._last, WAIT_SECONDS)
            said = Lines(**answer)
        except (WorkerProtocolError, ValidationError) as odd:
            self._trouble.failed(odd)
            return False
        except Postponed as away:
            self._in_vain += 1
            if self._in_vain >= AWAY_LOOKS:
                self._trouble.failed(away)
            return False
        self._in_vain = 0
        self._trouble.recovered()
        self._hand_on(said)
        return True

    def _hand_on(self, said: Lines) -> None:
        if self._instance not in {None, said.instance}:
            # Asked for or not: what was counted and not told yet is gone.
            logger.warning("the worker ended, and was started again")
        self._instance, self._last = said.instance, said.last
        if said.left_out:
            text = f"{said.left_out} lines of the worker were left out; its own log has them"
            self._tell(Line(level=logging.WARNING, logger=__name__, message=text))
        for line in said.lines:
            self._tell(line)

    def _tell(self, line: Line) -> None:
        if line.level >= self._cloud.level:
            record = logging.LogRecord(line.logger, line.level, "", 0, line.message, None, None)
            self._cloud.handle(record)
