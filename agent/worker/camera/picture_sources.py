"""Pictures that are there already, or are drawn; played at whatever pace is wanted."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import cv2
import numpy as np

from agent.worker.camera.source import Shot
from agent.worker.errors import SourceError
from agent.worker.model.tensors import Picture

log = logging.getLogger(__name__)

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


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
        """See :class:`agent.worker.camera.source.Source`."""
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
        """See :class:`agent.worker.camera.source.Source`."""
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
        """See :class:`agent.worker.camera.source.Source`."""
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
        """See :class:`agent.worker.camera.source.Source`."""
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
