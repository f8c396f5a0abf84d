"""Pictures of a site whose light is not the one that the demo's models were trained in.

    python site_pictures.py --light sodium --camera pictures/camera --held-out pictures/held-out

What the cameras see are scenes drawn on the spot; the held-out pictures are the demo's forty, which
no model was trained on. Both are lit by the same lamp.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from demo.training.backgrounds import pattern_background
from demo.training.scenes import LABELS, Variety, scene

Picture = NDArray[np.uint8]

DEMO_PICTURES = Path(__file__).parents[1] / "demo" / "pictures"
# What is left of red, green and blue.
LIGHTS = {
    "daylight": (1.0, 1.0, 1.0),
    "sodium": (1.0, 0.5, 0.12),
    "fluorescent": (0.4, 1.0, 0.5),
}
_VARIETY = Variety(pattern_background, narrow=False)
_SEED = 41  # not one of demo/train.py's
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 92)


def camera_scenes(count: int) -> dict[str, Picture]:
    """``count`` scenes in daylight by ``<label>/<file>``, in OpenCV's colour order."""
    drawn = (scene(_VARIETY, _SEED, index) for index in range(count))
    return {
        f"{LABELS[label]}/{number:03}.jpg": np.ascontiguousarray(picture[..., ::-1])
        for number, (picture, label) in enumerate(drawn)
    }


def held_out_scenes() -> dict[str, Picture]:
    """The demo's pictures, in the same form."""
    paths = sorted(DEMO_PICTURES.glob("*/*.jpg"))
    return {
        f"{path.parent.name}/{path.name}": np.asarray(cv2.imread(str(path)), np.uint8)
        for path in paths
    }


def write_lit(scenes: dict[str, Picture], light: str, folder: Path) -> None:
    """Write scenes to ``folder`` as a camera sees them in one of LIGHTS."""
    factors = np.asarray(LIGHTS[light][::-1], np.float32)
    for name, picture in scenes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), (picture * factors).astype(np.uint8), _JPEG)


def main() -> None:
    """Write both folders."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--light", choices=LIGHTS, default="sodium", help="default: sodium")
    parser.add_argument("--camera", type=Path, required=True, help="for scenes drawn on the spot")
    parser.add_argument("--held-out", type=Path, required=True, help="for the demo's forty")
    parser.add_argument("--count", type=int, default=60, help="scenes to draw (60)")
    arguments = parser.parse_args()
    write_lit(camera_scenes(arguments.count), arguments.light, arguments.camera)
    write_lit(held_out_scenes(), arguments.light, arguments.held_out)


if __name__ == "__main__":
    main()
