"""The agent in this process, on a link of its own: for parts of ``make prove`` about the link.

Session, downloader, journal, store, law, outbox and delivery are the real ones; what would prove
and serve a model takes everything, for it is the link that is tried here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from agent.assembly import Agent
from agent.config import Settings
from demo.fleet import Enrolled
from states.figures import WorkerFigures
from states.model import Release
from states.ports import Evidence, Ports


class Credulous:
    """Implements :class:`states.ports.Verifier`: proves nothing."""

    async def verify(self, release: Release, known_good: bool) -> Evidence:
        return {}


class Willing:
    """Implements :class:`states.ports.Worker`: serves whatever it is told, faultlessly."""

    def __init__(self) -> None:
        self._serving: str | None = None
        self._frames = 0

    async def prepare(self, release_id: str) -> None:
        """Nothing to load."""

    async def commit(self, release_id: str, watch: bool) -> Evidence:
        self._serving, self._frames = release_id, 0
        return {}

    async def settle(self, release_id: str) -> None:
        """Nothing was kept warm."""

    async def withdraw(self) -> None:
        self._serving = None

    async def figures(self) -> WorkerFigures:
        self._frames += 1
        return WorkerFigures(self._serving, self._frames, self._frames, dropped=0, errors=0)


class ChaoticAgent(Agent):
    """The agent as ``edgeferry run`` puts it together, but for who proves and serves."""

    def _ports(self) -> Ports:
        return replace(super()._ports(), verifier=Credulous(), worker=Willing())

    @property
    def rejected(self) -> tuple[str, ...]:
        """Releases it refuses."""
        return self._journal.rejected_releases()

    def serves(self, model: bytes) -> bool:
        """Whether it is at rest with this model, as it was published."""
        conductor = self._conductor
        if conductor.update is not None or conductor.has_news or self._store.active() is None:
            return False
        return (self._store.state_dir / "current/ai-model.tflite").read_bytes() == model


@asynccontextmanager
async def running_agent(
    state_dir: Path, gateway: tuple[str, int], enrolled: Enrolled
) -> AsyncIterator[ChaoticAgent]:
    """An agent that reaches its cloud at that address and is quick to try again.

    Raises ExceptionGroup when it fails.
    """
    settings = _settings(state_dir, gateway, enrolled)
    with ExitStack() as resources:
        agent = ChaoticAgent(settings, resources)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(agent.run())
            yield agent
            running.cancel()


def _settings(state_dir: Path, gateway: tuple[str, int], enrolled: Enrolled) -> Settings:
    return Settings.model_validate(
        {
            "golioth": {
                "uri": f"coaps://{gateway[0]}:{gateway[1]}",
                "psk_id": enrolled.identity,
                "psk": enrolled.key,
                "requests_per_second": 0,
                "poll_seconds": 5,
                "keep_alive_seconds": 1,
                "handshake_seconds": 8,
            },
            "device": {"state_dir": state_dir},
            "download": {"checkpoint_blocks": 8},
            "update": {
                "window_frames": 1,
                "window_least_frames": 1,
                "first_retry_seconds": 0.2,
                "longest_retry_seconds": 1,
            },
            "worker": {"kind": "signal"},
        }
    )
