"""Models that are good at first and then misbehave, and a scene in which that shows.

No part of the product knows of them: processes of a test get another ``tflite_runtime`` by
``PYTHONPATH``, which wraps the real interpreter.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

RUNTIME = "tflite-runtime"
"""What ``worker.runtime`` has to be for faults to come true."""
LATE = 40
"""Runs after which a fault begins: more than a trial takes, with the warming before a switch."""

_RUNTIME_FOLDER = Path(__file__).parent / "misbehaving"
_MARK = b"\nFAULT "
_COLOURS = {"red": (0, 0, 255), "green": (0, 255, 0)}


def with_fault(model: bytes, fault: str, after: int = LATE, **more: Any) -> bytes:
    """The model's file with a fault: ``crash``, ``hang``, ``nan``, ``constant``, ``slow``
    (``seconds``) or ``leak`` (``bytes``, with every run).
    """
    return model + _MARK + json.dumps({"fault": fault, "after": after, **more}).encode()


def python_path() -> str:
    """``PYTHONPATH`` of a process in which faults come true."""
    return os.pathsep.join([str(_RUNTIME_FOLDER), os.environ.get("PYTHONPATH", "")])


def coloured_pictures(folder: Path) -> str:
    """Source address of red and green pictures in turns, in many shades, labelled by folder."""
    for label, colour in _COLOURS.items():
        (folder / label).mkdir(parents=True)
        for shade in range(20):
            picture = np.full((32, 32, 3), colour, np.float64) * (1 - shade / 40)
            cv2.imwrite(str(folder / label / f"{shade:02}.png"), picture.astype(np.uint8))
    return f"dir:{folder}"
