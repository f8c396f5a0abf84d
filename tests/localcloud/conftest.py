"""A real local cloud on free loopback ports for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from localcloud.cloud import LocalCloud
from localcloud.settings import CloudSettings
from tests.support.cloud import Bench, Operator
from tests.support.pki import Authority

SETTINGS = CloudSettings(coap_port=0, http_port=0, project="Warehouse", organization="Acme")
UNLIMITED = replace(SETTINGS, rate_limit=None)
"""For tests that ask faster than a device may."""


@pytest.fixture
def settings() -> CloudSettings:
    """The cloud's settings; tests that need others override this."""
    return SETTINGS


@pytest.fixture
async def bench(tmp_path: Path, settings: CloudSettings) -> AsyncIterator[Bench]:
    async with LocalCloud(tmp_path / "cloud", settings) as cloud, AsyncExitStack() as links:
        yield Bench(cloud, links)


@pytest.fixture
async def operator(bench: Bench) -> Operator:
    return bench.operator


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "Root golioth")
