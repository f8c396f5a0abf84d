"""Pictures to JPEG."""

from __future__ import annotations

import cv2

from agent.worker.model.tensors import Picture

QUALITY = 80


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
