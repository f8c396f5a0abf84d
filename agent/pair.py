"""``edgeferry run --with-worker``: agent and worker started together, for a first look."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from agent.config import Settings
from agent.daemon import run_agent


async def run_with_worker(settings: Settings, config: Path | None) -> None:
    """Run the agent with a worker process of its own, which ends with it."""
    option = ["--config", str(config)] if config else []
    worker = await asyncio.create_subprocess_exec(sys.executable, "-m", "agent", "worker", *option)
    try:
        await run_agent(settings)
    finally:
        if worker.returncode is None:
            worker.terminate()
        await worker.wait()
