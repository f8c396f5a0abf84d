"""Where the running agent listens to its operators: ``<state dir>/agent.sock``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from agent.control.errors import SocketUnusable
from agent.control.listening import AGENT_SOCKET
from agent.control.server import ControlServer
from agent.operations import Operation

logger = logging.getLogger(__name__)


async def answer_operators(state_dir: Path, operations: Mapping[str, Operation]) -> None:
    """Carry out what they ask for, for ever; return when the socket can't be made."""
    control = ControlServer()
    try:
        control.listen(state_dir / AGENT_SOCKET, group=False)
        await control.serve({name: part.carry_out for name, part in operations.items()})
        await asyncio.Event().wait()
    except SocketUnusable as error:
        # The model is kept current without it too.
        logger.error("operators can't reach this agent: %s", error)
    finally:
        await control.close()
