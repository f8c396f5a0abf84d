"""What an engine says before it dies, however much it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.worker.engines.process import LastWords
from tests.support.worker_client import Refused
from tests.support.worker_harness import running_worker

RUNTIME = """
import os, sys

class Interpreter:
    def __init__(self, **_given):
        sys.stderr.write("the accelerator is on fire\\nINFO: Created a delegate.\\n\\n")
        sys.stderr.flush()
        os.abort()
"""


def test_the_last_line_that_tells_something_is_kept() -> None:
    words = LastWords()
    os.write(words.writer, b"first\nCheck failed:  tensors\nINFO: Created delegate\n  \n")
    assert words.last() == "Check failed: tensors"
    words.close_writer()
    words.close()


def test_without_words_there_are_none() -> None:
    words = LastWords()
    words.close_writer()
    assert words.last() is None
    words.close()


def test_a_process_that_says_more_than_anybody_reads_is_not_held_up() -> None:
    words = LastWords()
    program = "import os\nfor _ in range(3000):\n try: os.write(2, b'x' * 99 + b'\\n')\n"
    program += " except BlockingIOError: pass\n"
    subprocess.run([sys.executable, "-c", program], stderr=words.writer, check=True, timeout=60)
    assert words.last() == "x" * 99
    words.close_writer()
    words.close()


async def test_an_engine_that_crashes_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "runtime" / "ai_edge_litert"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(RUNTIME)
    path = f"{package.parent}:{os.environ.get('PYTHONPATH', '')}"
    monkeypatch.setenv("PYTHONPATH", path)
    async with running_worker(tmp_path, runtime="ai-edge-litert") as worker:
        with pytest.raises(Refused) as caught:
            await worker.prepare("a")
    assert caught.value.reason == "model-crashed"
    assert "SIGABRT (the accelerator is on fire)" in caught.value.detail
