"""A small RTSP camera on loopback: RFC 2326 with RTP in its own connection, JPEG by RFC 2435."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, suppress

import cv2
import numpy as np

from agent.worker.camera.picture_sources import Drawn
from tests.support.network_camera import listening

_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:0\r\n"
)
_FRAGMENT = 1400
_TABLES_IN_STREAM = 255


class RtspCamera:
    """Drawn pictures, 25 a second, to whoever plays."""

    def __init__(self) -> None:
        self.transport = ""
        """What the client asked for."""
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Without a password."""
        return f"rtsp://127.0.0.1:{self.port}/live"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, *_ = request.split()
                headers = dict(
                    line.split(": ", 1) for line in request.splitlines()[1:] if ": " in line
                )
                writer.write(self._answer(method, headers))
                if method == "PLAY":
                    self._tasks.add(asyncio.create_task(self._play(writer)))
        writer.close()

    def _answer(self, method: str, headers: dict[str, str]) -> bytes:
        more, body = "", ""
        if method == "OPTIONS":
            more = "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif method == "DESCRIBE":
            more, body = f"Content-Type: application/sdp\r\nContent-Length: {len(_SDP)}\r\n", _SDP
        elif method == "SETUP":
            self.transport = headers["Transport"]
            more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        return (
            f"RTSP/1.0 200 OK\r\nCSeq: {headers['CSeq']}\r\nSession: 1\r\n{more}\r\n{body}".encode()
        )

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        drawn, sequence, timestamp = Drawn(), 0, 0
        drawn.width, drawn.height = 512, 384
        with suppress(ConnectionError):
            while not writer.is_closing():
                payloads = list(_rtp_jpeg(drawn.read().picture))
                for place, payload in enumerate(payloads):
                    marker = 0x80 if place == len(payloads) - 1 else 0
                    head = struct.pack(">BBHII", 0x80, marker | 26, sequence, timestamp, 1)
                    packet = head + payload
                    writer.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                    sequence = (sequence + 1) % 65536
                await writer.drain()
                timestamp += 90_000 // 25
                await asyncio.sleep(0.04)

    async def close(self) -> None:
        """Stop playing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _rtp_jpeg(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Iterator[bytes]:
    """RTP payloads of one picture: 4:2:0, its quantization tables in the first one."""
    encoded, array = cv2.imencode(".jpg", picture)
    assert encoded
    jpeg = array.tobytes()
    tables, scan = b"", b""
    place = 2
    while not scan:
        marker, length = struct.unpack(">HH", jpeg[place : place + 4])
        segment = jpeg[place + 4 : place + 2 + length]
        if marker == 0xFFDB:  # DQT; one or more of (precision and number, 64 values)
            tables += b"".join(
                segment[start + 1 : start + 65] for start in range(0, len(segment), 65)
            )
        if marker == 0xFFDA:  # SOS; the scan follows up to EOI
            scan = jpeg[place + 2 + length : -2]
        place += 2 + length
    height, width = picture.shape[:2]
    for offset in range(0, len(scan), _FRAGMENT):
        head = struct.pack(">I", offset) + bytes((1, _TABLES_IN_STREAM, width // 8, height // 8))
        if offset == 0:
            head += struct.pack(">BBH", 0, 0, len(tables)) + tables
        yield head + scan[offset : offset + _FRAGMENT]


def rtsp_camera() -> AbstractAsyncContextManager[RtspCamera]:
    """A camera that plays; gone at the end."""
    return listening(RtspCamera())
