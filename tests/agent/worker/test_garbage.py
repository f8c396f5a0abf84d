from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from agent.worker.garbage import spare_what_stays


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_collections_only_go_through_what_came_later() -> None:
    before = len(gc.get_objects())
    spare_what_stays()
    later: list[list[int]] = [[] for _ in range(100)]
    assert 100 < len(gc.get_objects()) < before / 10
    assert len(later) == 100
