"""A server that has every artifact and counts what it is asked for, on a disk that may forget."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from agent.download.engine import Settle
from tests.support.disk_model import Steps
from tests.support.downloading import Answer, AskedInTasks

BLOCK = 1024


class CountingServer(AskedInTasks):
    """Serves ``content`` by path; every request is a step of what is recorded."""

    def __init__(self, content: Mapping[str, bytes], steps: Steps) -> None:
        super().__init__()
        self._content = content
        self._steps = steps
        self.asked: Counter[str] = Counter()
        self._was_asked = asyncio.Event()

    def ask_block(
        self, uri: str, number: int, size_exponent: int, settle: Settle, *, confirmable: bool
    ) -> bytes:
        """Count the request, and answer it in a task."""
        self.asked[uri] += 1
        self._was_asked.set()
        self._steps.append(lambda disk: disk.asked.update([uri]))
        return super().ask_block(uri, number, size_exponent, settle, confirmable=confirmable)

    async def until_asked(self, uri: str, count: int) -> None:
        """Wait for so many requests for an artifact."""
        while self.asked[uri] < count:
            self._was_asked.clear()
            await self._was_asked.wait()

    async def get_block(self, uri: str, number: int, size_exponent: int = 6) -> Answer:
        """A block of 1024 bytes, whatever was asked for."""
        content, end = self._content[uri], (number + 1) * BLOCK
        return Answer(number, end < len(content), content[end - BLOCK : end], len(content))
