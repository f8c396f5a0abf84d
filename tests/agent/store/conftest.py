"""An empty store on a real disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.store.release_store import ReleaseStore
from tests.support.releases import new_store


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(state_dir: Path) -> ReleaseStore:
    return new_store(state_dir)
