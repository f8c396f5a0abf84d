"""Pictures to JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from agent.worker.model.tensors import Picture

QUALITY = 80
SMALL_SIDE, SMALL_QUALITY = 480, 70


def encode_jpeg(picture: Picture, quality: int = QUALITY) -> bytes:
    """The picture, uint8 ``[height, width, 3]`` in OpenCV's colour order, as a JPEG file.

    Raises ValueError for one that has no pixels.
    """
    if not picture.size:
        raise ValueError("a picture without pixels can't be encoded")
    encoded, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise ValueError(f"a picture of shape {picture.shape} can't be encoded as JPEG")
    return bytes(jpeg.tobytes())


def small_jpeg(picture: Picture) -> bytes:
    """The picture at 480 pixels along its longer side, some 20 kB: fit for a slow link."""
    height, width = picture.shape[:2]
    factor = min(1.0, SMALL_SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return encode_jpeg(np.asarray(small, np.uint8), SMALL_QUALITY)
