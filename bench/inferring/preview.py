"""What the preview costs the worker: nothing while nobody watches, says the documentation."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

from agent.worker.sandbox.starvation import processor_seconds
from bench.inferring.subject import CAMERA_FRAMES_PER_SECOND, Scale, Subject
from bench.report import Row
from bench.support.worker import BenchWorker
from demo.cloud_process import lasting_port

_WARM_FRAMES = 10

Tables: TypeAlias = dict[str, dict[str, object]]


async def preview_cost(subject: Subject, folder: Path, scale: Scale) -> list[Row]:
    """The worker's own processor time without a preview, with one, and with one watcher of it."""
    without = await _processor_share(subject, folder / "off", scale, {})
    listen = f"127.0.0.1:{lasting_port(socket.SOCK_STREAM)}"
    preview: Tables = {"preview": {"on": True, "listen": listen}}
    unwatched = await _processor_share(subject, folder / "on", scale, preview)
    watched = await _processor_share(subject, folder / "seen", scale, preview, listen)
    name = f"30 frames/s, preview {subject.name}"
    note = "of one core, the engine and the camera's process left out"
    return [
        Row(name, "processor, nobody watches", "%", unwatched, without, note=note),
        Row(name, "processor, one watches", "%", watched, without, note=note),
    ]


async def _processor_share(
    subject: Subject,
    folder: Path,
    scale: Scale,
    tables: Tables,
    watched_at: str | None = None,
) -> float:
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(
            subject.worker(folder, CAMERA_FRAMES_PER_SECOND, **tables)
        )
        release, _ = subject.pair.write(worker.device.state_dir)
        await worker.serve(release)
        await worker.classified(_WARM_FRAMES)
        if watched_at:
            await stack.enter_async_context(_watcher(watched_at))
        return await _share(worker, scale.seconds)


async def _share(worker: BenchWorker, seconds: float) -> float:
    before, began = processor_seconds(worker.pid), time.monotonic()
    await asyncio.sleep(seconds)
    return 100 * (processor_seconds(worker.pid) - before) / (time.monotonic() - began)


@asynccontextmanager
async def _watcher(address: str) -> AsyncIterator[None]:
    """Somebody who looks at the live picture, once it has come."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /stream.mjpg HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
    await reader.readuntil(b"image/jpeg")
    looking = asyncio.create_task(_look(reader))
    try:
        yield
        if looking.done():
            raise ConnectionError("the preview ended while somebody watched")
    finally:
        looking.cancel()
        writer.close()


async def _look(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 16):
        pass
