"""A network camera on loopback: MJPEG over HTTP whose every misfortune a test decides."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager

import cv2
import numpy as np

from agent.worker.camera.picture_sources import Drawn
from tests.support.network_camera import listening

BOUNDARY = b"frame"


class MjpegCamera:
    """Drawn pictures as fast as they are asked for by :attr:`period`, until told otherwise."""

    def __init__(self) -> None:
        self.period = 0.02
        self.connections = 0
        self.requests: list[bytes] = []
        self.playing = asyncio.Event()
        self.playing.set()
        self.refusing = False
        self.port = 0
        self._drawn = Drawn()
        self._writers: set[asyncio.StreamWriter] = set()
        self._unserved = asyncio.Event()
        self._refusals: asyncio.Queue[None] = asyncio.Queue()

    @property
    def url(self) -> str:
        """With a user and a password."""
        return f"http://admin:s3cret@127.0.0.1:{self.port}/video.cgi?token=s3cret"

    @property
    def drawn(self) -> int:
        """Number of the newest picture."""
        return self._drawn.number - 1

    def stall(self) -> None:
        """Send nothing more, and keep the connections."""
        self.playing.clear()

    def resume(self) -> None:
        """Send again."""
        self.playing.set()

    def hang_up(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.close()

    async def refused(self, times: int) -> None:
        """Wait until that many more clients were turned away."""
        for _ in range(times):
            await self._refusals.get()

    def send_to_all(self, data: bytes) -> None:
        """Anything at all, between two pictures."""
        for writer in self._writers:
            writer.write(data)

    def picture(self) -> bytes:
        """The next drawn picture as a part of the stream."""
        encoded, jpeg = cv2.imencode(".jpg", self._drawn.read().picture)
        assert encoded
        return part(jpeg)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if self.refusing:
                writer.write(b"HTTP/1.0 503 Busy\r\n\r\n")
                self._refusals.put_nowait(None)
            else:
                await self._stream(writer)
        self._writers.discard(writer)
        writer.close()
        self._unserved.set()

    async def close(self) -> None:
        """Let everybody go."""
        self.resume()
        while self._writers:
            self.hang_up()
            self._unserved.clear()
            await self._unserved.wait()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        kind = b"multipart/x-mixed-replace; boundary=" + BOUNDARY
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: " + kind + b"\r\n\r\n")
        while not writer.is_closing():
            await self.playing.wait()
            writer.write(self.picture())
            await writer.drain()
            await asyncio.sleep(self.period)


def part(jpeg: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    """One picture of a multipart stream."""
    head = b"--" + BOUNDARY + b"\r\nContent-Type: image/jpeg\r\nContent-Length: "
    return head + str(jpeg.size).encode() + b"\r\n\r\n" + jpeg.tobytes() + b"\r\n"


def mjpeg_camera() -> AbstractAsyncContextManager[MjpegCamera]:
    """A camera that plays; gone at the end."""
    return listening(MjpegCamera())
