"""A device and a cloud between which something is wanted from afar."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.device_and_cloud import RemoteDevice, remote_device


@pytest.fixture
async def device(tmp_path: Path) -> AsyncIterator[RemoteDevice]:
    async with remote_device(tmp_path) as device:
        yield device
