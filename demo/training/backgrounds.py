"""What stands behind the solids: photographs free for any use, and patterns drawn on the spot.

The photographs come with the scikit-image wheel. Training and test never share one: a model
must not be able to learn the table cloth instead of the fruit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# As scikit-image's documentation states them: brick, grass, coffee, gravel and chelsea are CC0;
# rocket (SpaceX) and hubble_deep_field (NASA) are in the public domain.
TRAINING_PHOTOGRAPHS = ("brick", "grass", "coffee", "rocket")
TEST_PHOTOGRAPHS = ("gravel", "chelsea", "hubble_deep_field")


def training_background(rng: np.random.Generator, size: int) -> Array:
    """A background of shape [size, size, 3], 0 to 1, of the kinds that models are trained on."""
    return _draw(rng, size, TRAINING_PHOTOGRAPHS, (_gradient, _checks))


def test_background(rng: np.random.Generator, size: int) -> Array:
    """The same from photographs and patterns that no model is trained on."""
    return _draw(rng, size, TEST_PHOTOGRAPHS, (_clouds, _stripes))


def pattern_background(rng: np.random.Generator, size: int) -> Array:
    """The same from the patterns of both kinds, where the photographs are not at hand."""
    patterns = (_gradient, _checks, _clouds, _stripes)
    return patterns[rng.integers(len(patterns))](rng, size)


def _draw(
    rng: np.random.Generator,
    size: int,
    photographs: tuple[str, ...],
    patterns: tuple[Callable[[np.random.Generator, int], Array], ...],
) -> Array:
    if rng.random() < 0.6:
        return _crop(rng, _photograph(str(rng.choice(photographs))), size)
    return patterns[rng.integers(len(patterns))](rng, size)


@cache
def _photograph(name: str) -> NDArray[np.uint8]:
    from skimage import data  # the training environment alone has it

    picture = np.asarray(getattr(data, name)(), np.uint8)
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def _crop(rng: np.random.Generator, photograph: NDArray[np.uint8], size: int) -> Array:
    side = int(rng.uniform(0.4, 1.0) * min(photograph.shape[:2]))
    top = rng.integers(photograph.shape[0] - side + 1)
    left = rng.integers(photograph.shape[1] - side + 1)
    cut = cv2.resize(photograph[top : top + side, left : left + side], (size, size))
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    tint = rng.uniform(0.75, 1.25, 3).astype(np.float32)
    return np.clip(cut.astype(np.float32) / 255 * tint, 0, 1)


def _colours(rng: np.random.Generator) -> tuple[Array, Array]:
    return rng.uniform(0.05, 0.95, 3).astype(np.float32), rng.uniform(0.05, 0.95, 3).astype(
        np.float32
    )


def _blend(rng: np.random.Generator, weight: Array) -> Array:
    first, second = _colours(rng)
    return np.asarray(first + weight[..., None].astype(np.float32) * (second - first), np.float32)


def _ramp(rng: np.random.Generator, size: int) -> Array:
    down, across = np.mgrid[0:size, 0:size] / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    return np.asarray(down * np.sin(angle) + across * np.cos(angle), np.float32)


def _gradient(rng: np.random.Generator, size: int) -> Array:
    return _blend(rng, np.clip(_ramp(rng, size) + 0.5, 0, 1))


def _checks(rng: np.random.Generator, size: int) -> Array:
    count = rng.uniform(4, 14)
    first = np.floor(_ramp(rng, size) * count)
    second = np.floor(_ramp(rng, size) * count)
    return _blend(rng, np.asarray((first + second) % 2, np.float32))


def _clouds(rng: np.random.Generator, size: int) -> Array:
    coarse = rng.random((rng.integers(3, 12), rng.integers(3, 12))).astype(np.float32)
    return _blend(
        rng, np.clip(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), 0, 1)
    )


def _stripes(rng: np.random.Generator, size: int) -> Array:
    wave = np.sin(_ramp(rng, size) * rng.uniform(20, 90)) * 0.5 + 0.5
    return _blend(rng, np.asarray(wave, np.float32))
