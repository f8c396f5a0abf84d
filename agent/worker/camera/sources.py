"""Where pictures come from: a camera, a stream, a film, labelled pictures, or drawn ones.

All of them are read in a process of their own (:mod:`agent.worker.camera.capture_process`).
"""

from __future__ import annotations

from pathlib import Path

import cv2

from agent.worker.camera.picture_sources import Drawn, PictureFolder
from agent.worker.camera.source import Source
from agent.worker.camera.source_address import SourceAddress
from agent.worker.camera.video_sources import Camera, Film, Stream
from agent.worker.choices import PictureOrder


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
