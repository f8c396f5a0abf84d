"""Has the worker choose pictures for training as the operator has set it.

The worker is a process of its own and reads the file alone; what was set from afar is told to it,
and again to one that was started anew.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from agent.samples.settings import SampleChoice
from agent.worker_port.client import WorkerClient
from agent.worker_port.errors import WorkerProtocolError
from protocol.trouble import Trouble
from states.ports import Postponed

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How soon a worker that was started is told."""


class SampleTuning:
    """Keeps a worker's choice of samples as it is wanted; the file's own needs no telling."""

    def __init__(self, worker: WorkerClient, file: SampleChoice) -> None:
        self._worker = worker
        self._file = file
        self._wanted = file
        self._tells = False
        self._news = asyncio.Event()
        self._trouble = Trouble(logger, "choosing samples as set")

    def want(self, choice: SampleChoice) -> None:
        """Have pictures chosen so from now on."""
        self._wanted = choice
        # Once something was told, going back to the file has to be told as well.
        self._tells = self._tells or choice != self._file
        if self._tells:
            self._news.set()

    async def run(self) -> None:
        """Tell the worker, for ever."""
        while True:
            await self._news.wait()
            try:
                await self._tell_while_there()
            except WorkerProtocolError as refusal:
                self._trouble.failed(refusal)
                self._news.clear()
            except Postponed as away:
                logger.debug("the worker is not told which samples to keep: %s", away)
                await asyncio.sleep(LOOK_SECONDS)

    async def _tell_while_there(self) -> None:
        """Tell one worker, and of each change while that one lives. Raises Postponed."""
        async with self._worker.presence() as gone:
            while not gone.done():
                self._news.clear()
                await self._worker.capture(**dict(self._wanted))
                self._trouble.recovered()
                news = asyncio.ensure_future(self._news.wait())
                either: list[asyncio.Future[Any]] = [news, gone]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
        self._news.set()
