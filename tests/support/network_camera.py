"""What the network cameras of tests have in common: a server on loopback for one test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar


class NetworkCamera(Protocol):
    """A camera that serves whoever connects."""

    port: int

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""

    async def close(self) -> None:
        """Let everybody go."""


C = TypeVar("C", bound=NetworkCamera)


@asynccontextmanager
async def listening(camera: C) -> AsyncIterator[C]:
    """The camera, serving; gone at the end."""
    server = await asyncio.start_server(camera.serve, "127.0.0.1", 0)
    camera.port = server.sockets[0].getsockname()[1]
    try:
        yield camera
    finally:
        server.close()
        await camera.close()
