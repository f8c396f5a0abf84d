"""Whatever bytes a device sends, the cloud answers and goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import cbor2
import pytest
from aiocoap import POST, Code, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.cloud import LocalCloud
from protocol.client import ClientLink, connect
from protocol.credentials import PskCredential
from tests.localcloud.conftest import UNLIMITED
from tests.support.cloud import get, request
from tests.support.waiting import within

KEY = PskCredential("camera-1@warehouse", b"key")

PATHS = st.sampled_from([".u/c/main", ".u/c/ai-model", ".s/logs", "logs", ".d", ".d/any/where"])
FORMATS = st.sampled_from([None, 0, 42, 50, 60, 65000])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["s", "r", "pkg", "v", "t", "level", "module", "msg", "state"])
            | st.text(max_size=4),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
)


class Link:
    """One device's link, usable from hypothesis' synchronous examples."""

    def __init__(self, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self._cloud = LocalCloud(folder, UNLIMITED)
        self.link: ClientLink = self._runner.run(self._open())

    async def _open(self) -> ClientLink:
        await self._cloud.__aenter__()
        store, project = self._cloud.store, self._cloud.project.id
        device = store.devices.create(project, "camera-1")
        store.credentials.create(project, device.id, "camera-1", KEY.key.decode())
        return await connect(*self._cloud.coap_address, KEY)

    def post(self, path: str, body: bytes, content_format: int | None) -> Message:
        options = {} if content_format is None else {"content_format": content_format}
        asked = self.link.request(request(POST, path, body, **options))
        return self._runner.run(within(asked))

    def greet(self) -> Message:
        return self._runner.run(get(self.link, "hello"))

    async def _close(self) -> None:
        await self.link.close()
        await self._cloud.__aexit__(None, None, None)

    def close(self) -> None:
        self._runner.run(self._close())
        self._runner.close()


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    opened = Link(tmp_path_factory.mktemp("cloud"))
    yield opened
    opened.close()


@settings(max_examples=150, deadline=None)
@given(path=PATHS, content_format=FORMATS, body=st.binary(max_size=60))
def test_any_bytes_are_taken_or_refused(
    link: Link, path: str, content_format: int | None, body: bytes
) -> None:
    assert link.post(path, body, content_format).code in {Code.CHANGED, Code.BAD_REQUEST}


@settings(max_examples=150, deadline=None)
@given(path=PATHS, document=VALUES)
def test_any_document_is_taken_or_refused(link: Link, path: str, document: object) -> None:
    answer = link.post(path, cbor2.dumps(document), 60)
    assert answer.code in {Code.CHANGED, Code.BAD_REQUEST}
    assert link.greet().code == Code.VALID
