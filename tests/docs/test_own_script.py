"""The inference script that a page shows does what the page says, with a real model and signal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.worker_port.signal import SignalWorker
from tests.docs.markdown_pages import ROOT, blocks
from tests.support.tiny_models import TinyModel, reversed_colours
from tests.support.worker_client import activate, write_release

PAGE = ROOT / "docs" / "own-script.md"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (block,) = [each for each in blocks(PAGE) if each.language == "python"]
    assert block.file
    file = tmp_path / block.file
    file.write_text(block.text)
    return file


@asynccontextmanager
async def running(script: Path) -> AsyncIterator[asyncio.StreamReader]:
    """The script before a red picture; what it says."""
    folder = script.parent
    cv2.imwrite(str(folder / "01.png"), np.full((16, 16, 3), (0, 0, 255), np.uint8))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), str(folder), str(folder / "%02d.png")),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def test_it_loads_pairs_and_keeps_what_it_has_when_that_fails(script: Path) -> None:
    folder = script.parent
    a = write_release(folder, "a", TinyModel())
    b = write_release(folder, "b", reversed_colours(), labels="RED\nGREEN\n")
    for release in (a, b):
        (release / "version.txt").write_text(release.name)
    (folder / "releases" / "c").mkdir()
    worker = SignalWorker(folder / "worker.pid", lambda: None)
    activate(folder, "a")
    async with running(script) as said:
        assert [await line(said) for _ in range(2)] == ["version a", "red"]
        activate(folder, "c")
        await worker.commit("c", watch=True)
        assert (await line(said)).startswith("the model stays as it is:")
        activate(folder, "b")
        await worker.commit("b", watch=True)
        assert [await line(said) for _ in range(2)] == ["version b", "GREEN"]


async def line(said: asyncio.StreamReader) -> str:
    return (await said.readline()).decode().strip()
