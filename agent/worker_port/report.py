"""Tells the operator now and then how the worker does: ``.d/edgeferry/worker``."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from agent.cloud.reporting import STATE_PATH
from agent.journal.outbox import Kind, Message, Outbox
from agent.service.refusals import left_out
from agent.wall_clock import utc_now
from agent.worker_port.client import WorkerClient
from protocol.trouble import Trouble
from states.ports import Postponed

logger = logging.getLogger(__name__)

FIRST_SECONDS, INTERVAL_SECONDS = 5.0, 60.0
_TOLD = ("state", "release", "fps", "captured", "classified", "dropped", "errors", "max_gap_ms")


class WorkerReport:
    """Puts the worker's figures into the outbox every minute; only the newest is kept there."""

    def __init__(self, worker: WorkerClient, outbox: Outbox) -> None:
        self._worker = worker
        self._outbox = outbox
        self._trouble = Trouble(logger, "telling how the worker does")

    async def run(self) -> None:
        """Report for ever."""
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            body = json.dumps(await self._figures())
            message = Message(Kind.STATE, f"{STATE_PATH}/worker", body)
            with left_out(self._trouble):
                self._outbox.put(message, utc_now())
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _figures(self) -> dict[str, Any]:
        try:
            status = await self._worker.status()
        except Postponed as away:
            return {"state": "away", "detail": away.detail}
        source = status["source"]
        told = {"state": source["state"], "detail": source["detail"]}
        return {**{name: status[name] for name in _TOLD}, "source": told}
