"""Golden sets for tests: pictures of one colour each."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

COLOURS = {"red": (30, 30, 220), "green": (30, 220, 30), "blue": (220, 30, 30)}


def picture(colour: str, suffix: str = ".jpg") -> bytes:
    """A file of that colour, 24x24."""
    frame = np.full((24, 24, 3), COLOURS[colour], np.uint8)
    return bytes(cv2.imencode(suffix, frame)[1].tobytes())


def archive(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP of these."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return packed.getvalue()


def coloured(*labels: str, each: int = 3) -> dict[str, bytes]:
    """Files ``<label>/<n>.jpg`` that show what their label says."""
    return {f"{label}/{n}.jpg": picture(label) for label in labels for n in range(each)}


def write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    """The same as a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def red_pictures(folder: Path) -> str:
    """Source address of one red picture, over and over."""
    return f"dir:{write_folder(folder / 'pictures', {'red/1.png': picture('red', '.png')})}"
