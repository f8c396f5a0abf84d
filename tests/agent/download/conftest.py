"""A device that downloads, and a model of 201 blocks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.downloading import Device


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "state")


@pytest.fixture
def model() -> bytes:
    return os.urandom(200 * 1024 + 7)
