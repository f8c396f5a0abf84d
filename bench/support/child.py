"""Processes that a benchmark measures: told what to do in a line of JSON, telling in lines of JSON.

Both ends are here. In the child::

    async def serve(told): ...; tell("ready"); await next_line(); ...; tell("done", seconds=…)
    run_child(serve)
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

Told = dict[str, Any]
_LONGEST_LINE = 1 << 20


class ChildFailed(Exception):  # noqa: N818 - reads as what happened
    """A measured process ended without its figures; what it said is on standard error."""


class Child:
    """A process of ours, seen from the benchmark."""

    def __init__(self, module: str, process: asyncio.subprocess.Process) -> None:
        self.greeting: Told = {}
        self._module = module
        self._process = process

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def greet(self, seconds: float) -> None:
        """Wait until it is ready, and keep what it says then as ``greeting``."""
        async with asyncio.timeout(seconds):
            self.greeting = await self.hear("ready")

    async def tell(self, document: Mapping[str, Any] | None = None) -> None:
        """Send a line; without a document it means: go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(document or {}).encode() + b"\n")
        await self._process.stdin.drain()

    async def hear(self, event: str) -> Told:
        """Wait for that event. Raises ChildFailed."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        said: Told = json.loads(line) if line else {}
        if said.pop("event", None) != event:
            raise ChildFailed(f"{self._module} ended before it was {event}")
        return said

    async def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        await self._process.wait()

    async def close(self) -> None:
        """Wait for its end, which the end of its input brings about."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self._process.returncode is None:
            await self._process.wait()


@asynccontextmanager
async def child(module: str, order: Mapping[str, Any]) -> AsyncIterator[Child]:
    """Start ``python -m module`` with an order; it is killed if the block fails."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=pipe, stdout=pipe, limit=_LONGEST_LINE
    )
    started = Child(module, process)
    try:
        await started.tell(order)
        yield started
        await started.close()
    finally:
        if process.returncode is None:
            await started.kill()


# In the child.

_lines: asyncio.Queue[None] = asyncio.Queue()


def run_child(serve: Callable[[Told], Coroutine[Any, Any, None]]) -> None:
    """Read the order from standard input and serve it; the end of the input is the end."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    order = json.loads(sys.stdin.readline())

    async def run() -> None:
        loop = asyncio.get_running_loop()
        threading.Thread(target=_listen, args=(loop,), daemon=True).start()
        await serve(order)

    asyncio.run(run())


async def next_line() -> None:
    """Wait for the benchmark's next line."""
    await _lines.get()


def _listen(loop: asyncio.AbstractEventLoop) -> None:
    for _ in sys.stdin:
        loop.call_soon_threadsafe(_lines.put_nowait, None)
    # Nobody wants the figures any more, or has them already.
    os._exit(0)


def tell(event: str, **figures: object) -> None:
    """Tell the benchmark something."""
    print(json.dumps({"event": event, **figures}), flush=True)
