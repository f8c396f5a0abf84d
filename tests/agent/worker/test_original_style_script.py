"""``worker.kind = "signal"``: an inference script in the manner of the original, unmodified."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.worker_port.signal import SignalWorker
from tests.support.tiny_models import TinyModel, reversed_colours
from tests.support.worker_client import activate, write_release

SCRIPT = Path(__file__).with_name("original_style_inference.py")


class Script:
    """The script's process; one line to it is one frame."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def says(self) -> str:
        assert self._process.stdout
        return (await self._process.stdout.readline()).decode().strip()

    async def frame(self) -> str:
        assert self._process.stdin
        self._process.stdin.write(b"frame\n")
        return await self.says()


@pytest.fixture
async def script(tmp_path: Path) -> AsyncIterator[Script]:
    """Serves release a through the links in ``models/``."""
    write_release(tmp_path, "a", TinyModel())
    write_release(tmp_path, "b", reversed_colours(), labels="RED\nGREEN\n")
    activate(tmp_path, "a")
    (tmp_path / "models").mkdir()
    for name in ("ai-model.tflite", "labels.txt"):
        (tmp_path / "models" / name).symlink_to(f"../current/{name}")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), str(tmp_path)), stdin=pipe, stdout=pipe
    )
    script = Script(process)
    try:
        assert await script.says() == "ready"
        yield script
    finally:
        process.kill()
        await process.wait()


async def test_the_script_reloads_model_and_labels_as_a_pair(
    script: Script, tmp_path: Path
) -> None:
    worker = SignalWorker(tmp_path / "inference.pid", lambda: "b")
    assert await script.frame() == "red"
    activate(tmp_path, "b")
    assert await script.frame() == "red", "nothing changes before the signal"
    await worker.commit("b", watch=True)
    assert await script.frame() == "MODEL RELOADED"
    assert await script.says() == "GREEN"


async def test_the_script_keeps_its_model_when_there_is_no_new_one(
    script: Script, tmp_path: Path
) -> None:
    worker = SignalWorker(tmp_path / "inference.pid", lambda: None)
    os.unlink(tmp_path / "current")  # noqa: PTH108
    await worker.commit("gone", watch=True)
    assert await script.frame() == "KEEPING OLD MODEL: ValueError"
    assert await script.says() == "red"
