"""Pictures in the slots of the frames' shared memory: seen without a copy, and put there."""

from __future__ import annotations

import mmap

import cv2
import numpy as np

from agent.worker.camera.frames import MAX_PIXELS, SLOT_BYTES
from agent.worker.model.tensors import Picture


def frame_view(memory: memoryview | mmap.mmap, slot: int, height: int, width: int) -> Picture:
    """The picture in a slot: uint8 ``[height, width, 3]``, without a copy."""
    shape = (height, width, 3)
    return np.ndarray(shape, np.uint8, buffer=memory, offset=slot * SLOT_BYTES)


def put_picture(memory: mmap.mmap, slot: int, picture: Picture) -> tuple[int, int]:
    """Copy a picture into a slot, made smaller if it has more pixels than one holds.

    Returns the height and width it has there.
    """
    picture = _bounded(picture)
    height, width = picture.shape[:2]
    frame_view(memory, slot, height, width)[:] = picture
    return height, width


def _bounded(picture: Picture) -> Picture:
    """The picture, made smaller if it has more pixels than a slot holds."""
    height, width = picture.shape[:2]
    if height * width <= MAX_PIXELS:
        return picture
    factor = (MAX_PIXELS / (height * width)) ** 0.5
    size = (max(1, int(width * factor)), max(1, int(height * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
