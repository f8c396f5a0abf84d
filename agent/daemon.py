"""``edgeferry run``: the agent's life from its start to SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

from agent.assembly import Agent
from agent.config import Settings
from agent.journal.connection import JournalDamaged
from agent.store.lock import lock_state_dir

logger = logging.getLogger(__name__)


async def run_agent(settings: Settings) -> None:
    """Run the agent until SIGTERM or SIGINT.

    Raises:
        ConfigurationError, JournalError, StateDirectoryBusy, Postponed: it can't start; the text
            says what to do.
        JournalDamaged: it can't go on, and can be started again.
    """
    with ExitStack() as resources:
        resources.enter_context(lock_state_dir(settings.device.state_dir))
        agent = Agent(settings, resources)
        try:
            await until_signalled(agent.run())
        except ExceptionGroup as ended:
            # One reason is enough, and this one explains itself.
            damage: Exception | None = ended.subgroup(JournalDamaged)
            while isinstance(damage, ExceptionGroup):
                damage = damage.exceptions[0]
            if damage is not None:
                raise damage from ended
            raise


async def until_signalled(work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` until it ends or SIGTERM or SIGINT asks it to."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        logger.info("stopped as asked")
