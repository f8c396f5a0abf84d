"""Somebody who reads the pages, in a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.markdown_pages import ROOT
from tests.docs.reader import Reader
from tests.support.provisioning import PASSPHRASE


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Who has the demo's files, a passphrase for signing keys, and nothing running yet."""
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        yield Reader(tmp_path, stack, {"EDGEFERRY_SIGNING_PASSPHRASE": PASSPHRASE})
