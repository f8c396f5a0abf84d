"""A store as the console reads it, without devices' links."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.calls import Calls
from localcloud.changes import Changes
from localcloud.console.visit import Visit
from localcloud.storage.store import Store


class NobodyIsOnline:
    def is_online(self, device_id: str) -> bool:
        return False


@pytest.fixture
def visit(tmp_path: Path) -> Iterator[Visit]:
    store = Store(tmp_path / "cloud", Changes())
    project = store.projects.ensure("Warehouse", "Acme")
    yield Visit(store, NobodyIsOnline(), Calls(), project.id, 1000, is_open=lambda: True)
    store.close()
