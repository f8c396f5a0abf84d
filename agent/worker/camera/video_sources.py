"""What OpenCV plays: a camera, a network camera's stream, a film."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from agent.worker.camera.source import Shot
from agent.worker.camera.source_address import SourceAddress
from agent.worker.errors import SourceError

STREAM_OPEN_SECONDS = 10.0
# RTSP over TCP: over UDP a lost packet tears the picture, and NAT and firewalls stop it. No waiting
# for more data than a picture needs, no pictures held back for parallel decoding.
_FFMPEG_OPTIONS = "|".join(
    (
        "rtsp_transport;tcp",
        "fflags;nobuffer",
        "flags;low_delay",
        "protocol_whitelist;rtsp,rtsps,rtp,http,https,httpproxy,tcp,tls,udp,crypto",
    )
)
_FFMPEG_QUIET = "-8"


class _Captured:
    """What the sources here have in common: OpenCV's capture, while they are open."""

    def __init__(self) -> None:
        self._capture: cv2.VideoCapture | None = None

    def _use(self, capture: cv2.VideoCapture, problem: str) -> None:
        """Read from it; raises SourceError with the problem when it could not be opened."""
        if not capture.isOpened():
            capture.release()
            raise SourceError(problem)
        self._capture = capture

    def _next(self) -> Shot | None:
        """The next picture, None at the end."""
        taken, picture = self._capture.read() if self._capture else (False, None)
        return Shot(np.asarray(picture, np.uint8)) if taken else None

    def close(self) -> None:
        """See :class:`agent.worker.camera.source.Source`."""
        if self._capture:
            self._capture.release()
        self._capture = None


class Camera(_Captured):
    """A V4L2 camera, by number."""

    paced = True

    def __init__(self, number: int, frames_per_second: float) -> None:
        super().__init__()
        self._number = number
        self._frames_per_second = frames_per_second

    def open(self) -> None:
        """See :class:`agent.worker.camera.source.Source`."""
        capture = cv2.VideoCapture(self._number)
        self._use(
            capture,
            f"camera {self._number} cannot be opened: is /dev/video{self._number} there, may "
            "this user read it (group video), does another program use it?",
        )
        capture.set(cv2.CAP_PROP_FPS, self._frames_per_second)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def read(self) -> Shot:
        """See :class:`agent.worker.camera.source.Source`."""
        shot = self._next()
        if shot is None:
            raise SourceError(f"camera {self._number} gives no more pictures: is it unplugged?")
        return shot


class Stream(_Captured):
    """A network camera's stream: RTSP, or HTTP with MJPEG or HLS; at the pace it comes in.

    The stream comes from the network, so FFmpeg may follow it to other hosts but to no file.
    """

    paced = True

    def __init__(self, address: SourceAddress, stall_seconds: float) -> None:
        super().__init__()
        self._address = address
        self._stall_seconds = stall_seconds

    def open(self) -> None:
        """See :class:`agent.worker.camera.source.Source`."""
        # OpenCV takes FFmpeg's options from the environment alone, and this process has one source.
        os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = _FFMPEG_OPTIONS
        os.environ["OPENCV_FFMPEG_LOGLEVEL"] = _FFMPEG_QUIET
        # A stall is noticed from outside; FFmpeg's own limit is there to end a forgotten process.
        limits = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(STREAM_OPEN_SECONDS * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(self._stall_seconds * 2000)),
        ]
        self._use(
            cv2.VideoCapture(self._address.target, cv2.CAP_FFMPEG, limits),
            f"{self._address} cannot be opened: is the camera there, are user, password and "
            "path right?",
        )

    def read(self) -> Shot:
        """See :class:`agent.worker.camera.source.Source`."""
        shot = self._next()
        if shot is None:
            raise SourceError(f"{self._address} ended: did the camera or the network go away?")
        return shot


class Film(_Captured):
    """A film, played from the start again when it ends."""

    paced = False

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def open(self) -> None:
        """See :class:`agent.worker.camera.source.Source`."""
        if not self._path.is_file():
            raise SourceError(f"there is no film {self._path}")
        capture = cv2.VideoCapture(str(self._path))
        self._use(capture, f"{self._path} is no film that OpenCV can play")

    def read(self) -> Shot:
        """See :class:`agent.worker.camera.source.Source`."""
        shot = self._next() or self._first()
        if shot is None:
            raise SourceError(f"{self._path} holds no picture that can be read")
        return shot

    def _first(self) -> Shot | None:
        if self._capture:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        return self._next()
