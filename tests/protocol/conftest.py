"""Real DTLS on loopback for the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.support.coap import Net, Pki
from tests.support.pki import Authority


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")
    return Pki(Authority(folder / "ours", "Root golioth"), Authority(folder / "foreign", "Else"))


@pytest.fixture
async def net(pki: Pki) -> AsyncIterator[Net]:
    async with AsyncExitStack() as stack:
        yield Net(stack, pki)
