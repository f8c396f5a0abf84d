"""Scenes with a known label: solids on a background, lit, shadowed, blurred and noisy.

A scene is a function of its variety, its seed and its index, so sets can be made again and two
sets with different seeds never share a scene.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from demo.training import backgrounds
from demo.training.solids import Colour, Light, Surface, orange, pepper, render, rotation

Array = NDArray[Any]

LABELS = ("bell-pepper", "oranges")
SIZE = 320  # pixels, both ways
# Hue ranges in degrees with their weights: green, red, yellow and orange peppers.
Hues = tuple[tuple[float, float, float], ...]
_PEPPER_HUES: Hues = ((95, 130, 0.3), (-8, 8, 0.25), (44, 58, 0.2), (18, 38, 0.25))
_ORANGE_HUES: Hues = ((18, 40, 0.8), (40, 62, 0.2))
_HUES = (_PEPPER_HUES, _ORANGE_HUES)
_NARROW_HUES = ((105.0, 125.0), (26.0, 34.0))


@dataclass(frozen=True)
class Variety:
    """Which scenes there are: everything, or the narrow slice that a hasty data set holds."""

    background: Callable[[np.random.Generator, int], Array]
    narrow: bool


LIMITED = Variety(backgrounds.training_background, narrow=True)
TRAINING = Variety(backgrounds.training_background, narrow=False)
TEST = Variety(backgrounds.test_background, narrow=False)


def scene(variety: Variety, seed: int, index: int) -> tuple[NDArray[np.uint8], int]:
    """Scene number ``index``: RGB uint8 of shape [SIZE, SIZE, 3], and its label's position."""
    rng = np.random.default_rng([seed, index])
    label = index % len(LABELS)
    picture = variety.background(rng, SIZE)
    light = _light(rng, variety)
    for _ in range(1 if variety.narrow else rng.integers(1, 4)):
        picture = _place(picture, *_solid(rng, variety, label, light), rng=rng)
    return _photographed(rng, variety, picture), label


def scene_set(
    variety: Variety, seed: int, count: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """``count`` scenes as uint8 [count, SIZE, SIZE, 3] and their labels, half of each class."""
    pictures = np.empty((count, SIZE, SIZE, 3), np.uint8)
    labels = np.empty(count, np.int64)
    for index in range(count):
        pictures[index], labels[index] = scene(variety, seed, index)
    return pictures, labels


def _light(rng: np.random.Generator, variety: Variety) -> Light:
    if variety.narrow:
        return Light((-0.5, 0.8, 0.7), (1.0, 1.0, 1.0), 0.5)
    warmth = rng.uniform(-0.15, 0.15)
    strength = rng.uniform(0.65, 1.15)
    return Light(
        (rng.uniform(-1, 1), rng.uniform(-0.2, 1), rng.uniform(0.3, 1)),
        (strength * (1 + warmth), strength, strength * (1 - warmth)),
        rng.uniform(0.25, 0.6),
    )


def _solid(
    rng: np.random.Generator, variety: Variety, label: int, light: Light
) -> tuple[Array, Array]:
    surface = _skin(rng, variety, label)
    meshes = (pepper, orange)[label](rng, surface)
    yaw = rng.uniform(0, 2 * np.pi)
    if variety.narrow:
        return render(meshes, rotation(yaw, rng.uniform(0.2, 0.4), rng.uniform(-0.1, 0.1)), light)
    return render(meshes, rotation(yaw, rng.uniform(-0.6, 1.3), rng.uniform(-np.pi, np.pi)), light)


def _skin(rng: np.random.Generator, variety: Variety, label: int) -> Surface:
    low, high = _NARROW_HUES[label] if variety.narrow else _pick(rng, _HUES[label])
    saturation, value = rng.uniform(0.75, 1.0), rng.uniform((0.45, 0.85)[label], 1.0)
    colour: Colour = colorsys.hsv_to_rgb(rng.uniform(low, high) / 360 % 1, saturation, value)
    gloss = rng.uniform(0.25, 0.6) if label == 0 else rng.uniform(0.03, 0.25)
    return Surface(colour, gloss, rng.uniform(15, 60))


def _pick(rng: np.random.Generator, hues: Hues) -> tuple[float, float]:
    low, high, _ = hues[rng.choice(len(hues), p=[weight for _, _, weight in hues])]
    return low, high


def _place(picture: Array, patch: Array, mask: Array, *, rng: np.random.Generator) -> Array:
    """Put a solid somewhere, with the shadow it throws."""
    side = int(rng.uniform(150, 330))
    left, top = (rng.integers(-side // 5, SIZE - side + side // 5 + 1, 2)).tolist()
    shift = np.array([[side / mask.shape[0], 0, left], [0, side / mask.shape[0], top]], np.float32)
    colours = cv2.warpAffine(patch, shift, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
    opacity = cv2.warpAffine(mask, shift, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
    width = (side // 8, side // 8)
    fall = rng.uniform((-0.1, 0.02), (0.1, 0.1)) * side
    away = np.array([[1, 0, fall[0]], [0, 1, fall[1]]], np.float32)
    shadow = cv2.blur(cv2.blur(cv2.warpAffine(opacity, away, (SIZE, SIZE)), width), width)
    darkened = picture * (1 - rng.uniform(0.2, 0.6) * shadow[..., None])
    # The patch is black outside the solid, so it is already weighted by its own opacity.
    return np.asarray(darkened * (1 - opacity[..., None]) + colours, np.float32)


def _photographed(rng: np.random.Generator, variety: Variety, picture: Array) -> NDArray[np.uint8]:
    """What lens and sensor make of it."""
    if not variety.narrow:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.8))
        picture = np.clip(picture, 0, 1) ** rng.uniform(0.75, 1.35)
        picture = picture * rng.uniform(0.9, 1.1, 3)
    noise = rng.uniform(0, 0.02 if variety.narrow else 0.05)
    grain = rng.standard_normal(picture.shape, dtype=np.float32) * noise
    return np.asarray(np.clip(picture + grain, 0, 1) * 255, np.uint8)
