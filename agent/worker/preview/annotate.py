"""Draws onto a picture what it was taken for."""

from __future__ import annotations

import time
import unicodedata
from dataclasses import dataclass

import cv2
import numpy as np

from agent.worker.engines.counters import Result
from agent.worker.model.tensors import Picture
from agent.worker.notices import Kind, Notice, Notices
from agent.worker.versions import ModelVersions

LARGEST_SIDE, SMALLEST_WIDTH = 1280, 640
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _SOFT, _DARK = (255, 255, 255), (200, 200, 200), (24, 20, 16)
# Blue, green, red.
_COLOURS: dict[Kind, tuple[int, int, int]] = {
    "reloaded": (75, 160, 40),
    "camera-back": (75, 160, 40),
    "went-back": (20, 120, 220),
    "engine-failed": (45, 45, 200),
    "camera-lost": (45, 45, 200),
}


@dataclass(frozen=True)
class Caption:
    """What is written onto a picture."""

    label: str | None
    """None: nothing serves, or the picture was not classified."""
    confidence: float
    release: str
    """Release and version in one line."""
    notice: Notice | None = None


def caption(result: Result | None, notices: Notices, versions: ModelVersions) -> Caption:
    """What is written onto the picture of a result: that, and the newest notice there is."""
    current = notices.current(time.monotonic())
    label, confidence = result.top[0] if result else (None, 0.0)
    release = versions.describe(result.release) if result else ""
    return Caption(label, confidence, release, current[0] if current else None)


def annotated(picture: Picture, caption: Caption) -> Picture:
    """A copy with the caption: 640 pixels wide or more, at most 1280 long."""
    drawn = _fitted(picture)
    scale = max(0.4, drawn.shape[1] / 900)
    _draw_label(drawn, caption, scale)
    if caption.notice:
        _draw_notice(drawn, caption.notice, scale)
    return drawn


def _fitted(picture: Picture) -> Picture:
    """A copy in a size that is quick to send and leaves room for letters."""
    height, width = picture.shape[:2]
    factor = min(max(1.0, SMALLEST_WIDTH / width), LARGEST_SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if size == (width, height):
        return picture.copy()
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def _draw_label(picture: Picture, caption: Caption, scale: float) -> None:
    height, width = picture.shape[:2]
    bar, margin = round(56 * scale), round(14 * scale)
    _shade(picture, height - bar, height)
    baseline = height - round(20 * scale)
    if caption.label is None:
        _write(picture, "not classified", (margin, baseline), 0.8 * scale, _SOFT)
    else:
        text = f"{_ascii(caption.label)}  {caption.confidence:.0%}"
        _write(picture, text, (margin, baseline), 0.9 * scale, _WHITE)
        filled = round(width * min(max(caption.confidence, 0.0), 1.0))
        line = max(2, round(4 * scale))
        cv2.rectangle(picture, (0, height - line), (filled, height), (230, 170, 60), cv2.FILLED)
    release = _ascii(caption.release)
    (taken, _), _ = cv2.getTextSize(release, _FONT, 0.5 * scale, 1)
    if taken < width / 2:
        _write(picture, release, (width - taken - margin, baseline), 0.5 * scale, _SOFT)


def _draw_notice(picture: Picture, notice: Notice, scale: float) -> None:
    band = round(64 * scale)
    cv2.rectangle(picture, (0, 0), (picture.shape[1], band), _COLOURS[notice.kind], cv2.FILLED)
    margin = round(14 * scale)
    _write(picture, notice.title, (margin, round(30 * scale)), 0.85 * scale, _WHITE)
    _write(picture, _ascii(notice.text), (margin, round(53 * scale)), 0.5 * scale, _WHITE)


def _shade(picture: Picture, top: int, bottom: int) -> None:
    band = picture[max(top, 0) : bottom]
    band[:] = (band * 0.35 + np.array(_DARK) * 0.65).astype(np.uint8)


def _write(
    picture: Picture, text: str, place: tuple[int, int], scale: float, colour: tuple[int, int, int]
) -> None:
    thickness = max(1, round(2 * scale))
    cv2.putText(picture, text, place, _FONT, scale, colour, thickness, cv2.LINE_AA)


def _ascii(text: str) -> str:
    """The text in letters that OpenCV's font has; the page shows it as it is."""
    text = text.replace("→", "->").replace("ß", "ss")
    plain = unicodedata.normalize("NFKD", text)
    return (
        "".join(c for c in plain if not unicodedata.combining(c))
        .encode("ascii", "replace")
        .decode()
    )
