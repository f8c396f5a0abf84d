"""A device in a small world."""

from __future__ import annotations

import pytest

from tests.states.world import Device


@pytest.fixture
def device() -> Device:
    return Device()
