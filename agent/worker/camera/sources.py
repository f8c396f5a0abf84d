"""Where pictures come from: a camera, a stream, a film, labelled pictures, or drawn ones.

All of them are read in a process of their own (:mod:`agent.worker.camera.capture_process`).
"""

from __future__ import annotations

import logging
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from agent.worker.camera.source_address import SourceAddress
from agent.worker.choices import PictureOrder
from agent.worker.errors import SourceError
from agent.worker.model.tensors import Picture

log = logging.getLogger(__name__)

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
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


@dataclass(frozen=True)
class Shot:
    """A picture and, from a folder, its file name and the label its sub-folder gives it."""

    picture: Picture
    name: str | None = None
    label: str | None = None


class Source(Protocol):
    """Gives picture after picture, without end. ``paced`` sources take their time themselves."""

    paced: bool

    def open(self) -> None:
        """Get ready; raises SourceError."""

    def read(self) -> Shot:
        """The next picture; raises SourceError."""

    def close(self) -> None:
        """Let go; may be opened again."""


def make_source(
    address: SourceAddress,
    *,
    frames_per_second: float,
    order: PictureOrder,
    seed: int,
    stall_seconds: float = 5.0,
) -> Source:
    """The source of that address, not opened yet."""
    # OpenCV's own warnings would come with every attempt to reopen; our errors say what is wrong.
    cv2.setLogLevel(0)
    if address.kind == "camera":
        return Camera(int(address.target), frames_per_second)
    if address.kind == "stream":
        return Stream(address, stall_seconds)
    if address.kind == "video":
        return Film(Path(address.target))
    if address.kind == "dir":
        return PictureFolder(Path(address.target), seed if order == "shuffled" else None)
    return Drawn()


class Camera:
    """A V4L2 camera, by number."""

    paced = True

    def __init__(self, number: int, frames_per_second: float) -> None:
        self._number = number
        self._frames_per_second = frames_per_second
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> None:
        """See :class:`Source`."""
        capture = cv2.VideoCapture(self._number)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"camera {self._number} cannot be opened: is /dev/video{self._number} there, may "
                "this user read it (group video), does another program use it?"
            )
        capture.set(cv2.CAP_PROP_FPS, self._frames_per_second)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._capture = capture

    def read(self) -> Shot:
        """See :class:`Source`."""
        taken, picture = self._capture.read() if self._capture else (False, None)
        if not taken:
            raise SourceError(f"camera {self._number} gives no more pictures: is it unplugged?")
        return Shot(np.asarray(picture, np.uint8))

    def close(self) -> None:
        """See :class:`Source`."""
        if self._capture:
            self._capture.release()
        self._capture = None


class Stream:
    """A network camera's stream: RTSP, or HTTP with MJPEG or HLS; at the pace it comes in.

    The stream comes from the network, so FFmpeg may follow it to other hosts but to no file.
    """

    paced = True

    def __init__(self, address: SourceAddress, stall_seconds: float) -> None:
        self._address = address
        self._stall_seconds = stall_seconds
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> None:
        """See :class:`Source`."""
        # OpenCV takes FFmpeg's options from the environment alone, and this process has one source.
        os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = _FFMPEG_OPTIONS
        os.environ["OPENCV_FFMPEG_LOGLEVEL"] = _FFMPEG_QUIET
        # A stall is noticed from outside; FFmpeg's own limit is there to end a forgotten process.
        limits = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(STREAM_OPEN_SECONDS * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(self._stall_seconds * 2000)),
        ]
        capture = cv2.VideoCapture(self._address.target, cv2.CAP_FFMPEG, limits)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"{self._address} cannot be opened: is the camera there, are user, password and "
                "path right?"
            )
        self._capture = capture

    def read(self) -> Shot:
        """See :class:`Source`."""
        taken, picture = self._capture.read() if self._capture else (False, None)
        if not taken:
            raise SourceError(f"{self._address} ended: did the camera or the network go away?")
        return Shot(np.asarray(picture, np.uint8))

    def close(self) -> None:
        """See :class:`Source`."""
        if self._capture:
            self._capture.release()
        self._capture = None


class Film:
    """A film, played from the start again when it ends."""

    paced = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> None:
        """See :class:`Source`."""
        if not self._path.is_file():
            raise SourceError(f"there is no film {self._path}")
        self._capture = cv2.VideoCapture(str(self._path))
        if not self._capture.isOpened():
            raise SourceError(f"{self._path} is no film that OpenCV can play")

    def read(self) -> Shot:
        """See :class:`Source`."""
        if self._capture is None:
            raise SourceError(f"{self._path} is not open")
        taken, picture = self._capture.read()
        if not taken:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            taken, picture = self._capture.read()
        if not taken:
            raise SourceError(f"{self._path} holds no picture that can be read")
        return Shot(np.asarray(picture, np.uint8))

    def close(self) -> None:
        """See :class:`Source`."""
        if self._capture:
            self._capture.release()
        self._capture = None


class PictureFolder:
    """All pictures below a folder, over and over; a picture's sub-folder is its label."""

    paced = False

    def __init__(self, folder: Path, seed: int | None) -> None:
        """``seed`` None plays in the order of the names, a number in an order of its own."""
        self._folder = folder
        self._seed = seed
        self._paths: list[Path] = []
        self._next = 0

    def open(self) -> None:
        """See :class:`Source`."""
        if not self._folder.is_dir():
            raise SourceError(f"there is no folder {self._folder}")
        found = self._folder.rglob("*")
        self._paths = sorted(path for path in found if path.suffix.lower() in PICTURE_SUFFIXES)
        if not self._paths:
            raise SourceError(
                f"{self._folder} holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))})"
            )
        if self._seed is not None:
            random.Random(self._seed).shuffle(self._paths)  # noqa: S311 - an order, not a secret
        self._next = 0

    def read(self) -> Shot:
        """See :class:`Source`."""
        while self._paths:
            self._next %= len(self._paths)
            path = self._paths[self._next]
            picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if picture is not None:
                self._next += 1
                return self._shot(path, np.asarray(picture, np.uint8))
            log.warning("%s is no picture that OpenCV can read; it is left out", path)
            self._paths.remove(path)
        raise SourceError(f"{self._folder} holds no picture that OpenCV can read")

    def _shot(self, path: Path, picture: Picture) -> Shot:
        name = path.relative_to(self._folder)
        label = name.parts[0] if len(name.parts) > 1 else None
        return Shot(picture, name.as_posix(), label)

    def close(self) -> None:
        """See :class:`Source`."""
        self._paths = []


class Drawn:
    """Drawn pictures that carry their number, in digits and in 32 squares to be read back."""

    paced = False
    width, height, square = 640, 480, 16

    def __init__(self) -> None:
        self.number = 0
        """Of the next picture."""

    def open(self) -> None:
        """Always ready."""

    def read(self) -> Shot:
        """See :class:`Source`."""
        picture = np.full((self.height, self.width, 3), 64, np.uint8)
        bits = [(self.number >> bit) & 1 for bit in range(32)]
        # A row with all its colours, so that it is copied whole: ten times as fast as spreading it.
        row = np.repeat(np.array(bits, np.uint8) * 255, 3 * self.square).reshape(1, -1, 3)
        picture[: self.square, : 32 * self.square] = row
        cv2.putText(
            picture, str(self.number), (40, 280), cv2.FONT_HERSHEY_SIMPLEX, 4, (0, 220, 255), 8
        )
        self.number += 1
        return Shot(picture)

    def close(self) -> None:
        """Nothing to let go of: the numbers go on."""

    @classmethod
    def number_in(cls, picture: Picture) -> int:
        """The number a drawn picture carries; survives JPEG compression."""
        middle = cls.square // 2
        squares = picture[middle, middle : 32 * cls.square : cls.square, 0]
        return sum(1 << bit for bit, value in enumerate(squares) if value > 127)
