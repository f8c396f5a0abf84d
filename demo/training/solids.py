"""Solids of revolution: a bell pepper and an orange, shaded and seen from one side.

A solid is a mesh over (polar angle, azimuth). It is turned, lit, and splatted point by point, the
farthest first, into a square patch with an opacity mask. No renderer is needed for that, and a
patch takes about ten milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Colour = tuple[float, float, float]

PATCH = 160  # pixels; the solid fills about two thirds of it
_POLAR, _AZIMUTH = 150, 330
_PIXELS_PER_RADIUS = 46.0
_STEM_COLOUR: Colour = (0.33, 0.45, 0.16)


@dataclass(frozen=True)
class Light:
    """One distant lamp and the light from everywhere. Colours are linear RGB around 1."""

    direction: tuple[float, float, float]
    colour: Colour
    ambient: float


@dataclass(frozen=True)
class Surface:
    """A skin: its colour (RGB, 0 to 1), how strong and how tight its highlight is."""

    colour: Colour
    gloss: float
    sharpness: float


@dataclass(frozen=True)
class Mesh:
    """Points of shape [polar, azimuth, 3]; the solid's axis is y and a radius is about 1."""

    points: Array
    surface: Surface


def pepper(rng: np.random.Generator, surface: Surface) -> list[Mesh]:
    """A blocky, lobed body, sunken at the top, and its stem."""
    polar, azimuth = _angles()
    lobes = rng.integers(3, 5)
    depth = rng.uniform(0.06, 0.14)
    grooves = 1 - depth * (1 - np.abs(np.cos(lobes * azimuth / 2 + rng.uniform(0, np.pi))))
    taper = 1 + rng.uniform(0.05, 0.25) * np.cos(polar)
    radius = np.sin(polar) ** rng.uniform(0.5, 0.8) * grooves * taper * rng.uniform(0.78, 0.95)
    height = rng.uniform(1.0, 1.35)
    sunken = rng.uniform(0.15, 0.35) * np.exp(-((polar / 0.45) ** 2))
    body = _revolve(radius, height * np.cos(polar) - sunken, azimuth)
    return [Mesh(body, surface), _stem(rng, height - rng.uniform(0.25, 0.35))]


def orange(rng: np.random.Generator, surface: Surface) -> list[Mesh]:
    """A slightly flattened ball with pores and the mark where it hung."""
    polar, azimuth = _angles()
    pores = cv2.GaussianBlur(rng.normal(0, 1, polar.shape), (0, 0), 1.2) * rng.uniform(0.004, 0.012)
    radius = np.sin(polar) * (1 + pores)
    sunken = rng.uniform(0.02, 0.10) * np.exp(-((polar / 0.3) ** 2))
    ball = _revolve(radius, rng.uniform(0.86, 1.0) * np.cos(polar) * (1 + pores) - sunken, azimuth)
    mark = _stem(rng, 0.72, length=0.14, width=rng.uniform(0.05, 0.09))
    return [Mesh(ball, surface), mark]


def render(meshes: list[Mesh], turn: Array, light: Light) -> tuple[Array, Array]:
    """Colours [PATCH, PATCH, 3], 0 to 1, and opacity [PATCH, PATCH] of the turned solids."""
    shaded = [_shade(mesh, turn, light) for mesh in meshes]
    points = np.concatenate([points for points, _ in shaded])
    colours = np.concatenate([colours for _, colours in shaded])
    order = np.argsort(points[:, 2])
    columns, rows = _pixels(points[order])
    patch = np.zeros((PATCH, PATCH, 3), np.float32)
    mask = np.zeros((PATCH, PATCH), np.float32)
    patch[rows, columns] = colours[order]
    mask[rows, columns] = 1
    return _without_holes(patch, mask)


def rotation(yaw: float, tilt: float, roll: float) -> Array:
    """The matrix that turns about y, then tilts towards the viewer, then rolls; radians."""
    cos, sin = np.cos([yaw, tilt, roll]), np.sin([yaw, tilt, roll])
    about_y = np.array([[cos[0], 0, sin[0]], [0, 1, 0], [-sin[0], 0, cos[0]]])
    about_x = np.array([[1, 0, 0], [0, cos[1], -sin[1]], [0, sin[1], cos[1]]])
    about_z = np.array([[cos[2], -sin[2], 0], [sin[2], cos[2], 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y, np.float32)


def _angles() -> tuple[Array, Array]:
    polar, azimuth = np.meshgrid(
        np.linspace(1e-3, np.pi - 1e-3, _POLAR, dtype=np.float32),
        np.linspace(0, 2 * np.pi, _AZIMUTH, dtype=np.float32),
        indexing="ij",
    )
    return polar, azimuth


def _revolve(radius: Array, height: Array, azimuth: Array) -> Array:
    points = np.stack([radius * np.cos(azimuth), height, radius * np.sin(azimuth)], axis=-1)
    return np.asarray(points, np.float32)


def _stem(
    rng: np.random.Generator, base: float, *, length: float = 0.0, width: float = 0.0
) -> Mesh:
    along, azimuth = np.meshgrid(
        np.linspace(1, 0, 60, dtype=np.float32),
        np.linspace(0, 2 * np.pi, 60, dtype=np.float32),
        indexing="ij",
    )
    length = length or rng.uniform(0.35, 0.6)
    radius = (width or rng.uniform(0.09, 0.14)) * (1 + 0.6 * (1 - along) ** 2)
    radius[0] = 0  # closes the upper end
    points = _revolve(radius, base + length * along, azimuth)
    points[..., 0] += rng.uniform(-0.25, 0.25) * along**2
    return Mesh(points, Surface(_STEM_COLOUR, gloss=0.05, sharpness=10))


def _shade(mesh: Mesh, turn: Array, light: Light) -> tuple[Array, Array]:
    """The visible points [n, 3] and their colours [n, 3]."""
    points = mesh.points @ turn.T
    normals = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-9
    facing = normals[..., 2] > 0
    points, normals = points[facing], normals[facing]
    lamp = np.asarray(light.direction, np.float32)
    lamp = lamp / np.linalg.norm(lamp)
    halfway = lamp + np.array([0, 0, 1], np.float32)
    halfway /= np.linalg.norm(halfway)
    diffuse = np.clip(normals @ lamp, 0, 1)[:, None]
    highlight = np.clip(normals @ halfway, 0, 1)[:, None] ** mesh.surface.sharpness
    skin = np.asarray(mesh.surface.colour, np.float32)
    lit = skin * (light.ambient + (1 - light.ambient) * diffuse) + mesh.surface.gloss * highlight
    return points, np.clip(lit * np.asarray(light.colour, np.float32), 0, 1)


def _pixels(points: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    columns = np.clip(points[:, 0] * _PIXELS_PER_RADIUS + PATCH / 2, 0, PATCH - 1)
    rows = np.clip(PATCH / 2 - points[:, 1] * _PIXELS_PER_RADIUS, 0, PATCH - 1)
    return columns.astype(np.intp), rows.astype(np.intp)


def _without_holes(patch: Array, mask: Array) -> tuple[Array, Array]:
    """Fill the few pixels no point fell on with their brightest neighbour; soften the outline."""
    kernel = np.ones((3, 3), np.uint8)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
    holes = (closed > mask)[..., None]
    filled = np.where(holes, cv2.dilate(patch, kernel), patch)
    return cv2.GaussianBlur(filled, (0, 0), 0.6), cv2.GaussianBlur(closed, (0, 0), 0.6)
