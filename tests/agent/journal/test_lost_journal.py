"""A journal that is gone or damaged: what serves goes on, and is kept current from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.prove.updating_agent import Fate, Scenario, UpdatingAgent
from tests.support.counting_server import CountingServer
from tests.support.disk_model import Steps, Unsynced

UPDATES = Scenario("lost journal", ((Fate.CONFIRMED,), (Fate.CONFIRMED,)))


def delete(root: Path) -> None:
    for path in root.glob("state.db*"):
        path.unlink()


def overwrite(root: Path) -> None:
    delete(root)
    (root / "state.db").write_bytes(b"\xa5" * 40_000)


async def deploy(root: Path, number: int) -> int:
    """Start an agent, deploy, and return how many requests that took."""
    server = CountingServer(UPDATES.content, Steps())
    agent = UpdatingAgent(root, UPDATES, Unsynced(), server)
    try:
        agent.conductor.offer(UPDATES.deployments[number - 1])
        await agent.settle()
        assert agent.store.active() == UPDATES.deployments[number - 1].release.id
        assert agent.conductor.state == "idle"
        assert agent.journal.rejected_releases() == ()
    finally:
        agent.journal.close()
    return server.asked.total()


@pytest.mark.parametrize("lose", [delete, overwrite])
async def test_what_serves_needs_no_journal_and_is_updated_without_one(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    assert await deploy(tmp_path, 1) > 0
    lose(tmp_path)
    assert await deploy(tmp_path, 1) == 0
    lose(tmp_path)
    assert await deploy(tmp_path, 2) > 0
