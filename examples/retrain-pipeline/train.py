"""Learn a release's last layer again from labelled pictures, and how bright their light was.

    python train.py --base releases/1 --pictures pictures --output candidate

No TensorFlow: the network before the last layer stays as it is, and the last layer is a softmax
regression on what that network sees. Seconds for a hundred pictures.

With --reference-colour the release also gets a model.json by which devices undo the light's tint
and dimness: a lamp multiplies the colours, and the mean of many pictures tells by how much.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from head import Head, UnsuitableModel, read_head, with_head, without_head
from numpy.typing import NDArray
from releases import LABELS, MODEL, SETTINGS, Dataset, outputs, read_dataset, read_release

from agent.worker.model.material import Material

Array = NDArray[Any]

_STEPS, _RATE = 400, 0.05
# How much evidence it takes to leave the head there is: with few pictures little changes.
_PENALTY = 0.3


def train(base: Path, pictures: Path, output: Path, reference: Array | None) -> dict[str, Any]:
    """Write the trained release to ``output`` and tell what came of it.

    ``reference`` is the mean colour (red, green, blue; 0 to 255) of the pictures the base was
    trained on; without it, pictures are prepared as the base has it.
    """
    release = _copied(base, output)
    dataset = read_dataset(pictures, release.labels)
    balance = None if reference is None else light_balance(dataset, reference)
    if balance is not None:
        _write_balance(output / SETTINGS, balance)
        release = read_release(output)
    features = outputs(replace(release, model=without_head(release.model)), dataset.pictures)
    before = read_head(release.model)
    head = fit(before, features, dataset.labels)
    model = with_head(release.model, head, head.logits(features))
    (output / MODEL).write_bytes(model)
    return {
        "pictures": dict(Counter(release.labels[position] for position in dataset.labels)),
        "right_before": _right(before.logits(features), dataset.labels),
        "right_after": _right(head.logits(features), dataset.labels),
        "balance": balance,
        "bytes_changed": sum(a != b for a, b in zip(release.model, model, strict=True)),
    }


def light_balance(dataset: Dataset, reference: Array) -> list[float]:
    """Each channel's divisor that makes the pictures' mean colour the reference.

    They are the ``std`` of a normalization of red, green and blue as 0..1.
    """
    means = np.mean([picture.mean(axis=(0, 1)) for picture in dataset.pictures], axis=0)[::-1]
    return [round(float(value), 6) for value in np.maximum(means, 1.0) / reference]


def fit(head: Head, features: Array, labels: Array) -> Head:
    """The head that explains the labels best without going further from ``head`` than it must.

    Softmax regression by full-batch Adam, features standardized; what is learned is the difference.
    """
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-3
    standard = np.column_stack([(features - mean) / deviation, np.ones(len(features))])
    start, wanted = head.logits(features), np.eye(len(head.bias))[labels]
    change, speed, power = (np.zeros((standard.shape[1], len(head.bias))) for _ in range(3))
    for step in range(1, _STEPS + 1):
        off = _softmax(start + standard @ change) - wanted
        slope = standard.T @ off / len(labels) + _PENALTY * change
        speed, power = 0.9 * speed + 0.1 * slope, 0.999 * power + 0.001 * slope**2
        pace = _RATE * (1 - step / _STEPS) * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        change -= pace * speed / (np.sqrt(power) + 1e-8)
    by_feature = change[:-1].T / deviation
    return Head(head.weights + by_feature, head.bias + change[-1] - by_feature @ mean)


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _right(logits: Array, labels: Array) -> int:
    return int((logits.argmax(axis=1) == labels).sum())


def _copied(base: Path, output: Path) -> Material:
    output.mkdir(parents=True, exist_ok=True)
    for name in (MODEL, LABELS, SETTINGS):
        (output / name).unlink(missing_ok=True)
        if (base / name).exists():
            shutil.copyfile(base / name, output / name)
    return read_release(output)


def _write_balance(path: Path, balance: list[float]) -> None:
    settings = json.loads(path.read_bytes()) if path.exists() else {"format": 1}
    if settings.pop("pixel_range", "0..1") != "0..1":
        raise SystemExit(f"{path}: the light can be undone for models of pixels 0..1 alone")
    settings["normalization"] = {"mean": [0.0] * 3, "std": balance}
    path.write_text(json.dumps(settings, indent=2) + "\n")


def main() -> None:
    """Train, and print what came of it as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", type=Path, required=True, help="release to start from, a folder")
    parser.add_argument("--pictures", type=Path, required=True, help="folder of LABEL/*.jpg")
    parser.add_argument("--output", type=Path, required=True, help="folder of the trained release")
    parser.add_argument(
        *("--reference-colour", "-r"),
        type=float,
        nargs=3,
        metavar=("RED", "GREEN", "BLUE"),
        help="mean colour, 0 to 255, of the pictures the base was trained on: undo the light",
    )
    arguments = parser.parse_args()
    reference = np.asarray(arguments.reference_colour) if arguments.reference_colour else None
    try:
        found = train(arguments.base, arguments.pictures, arguments.output, reference)
    except (OSError, UnsuitableModel) as error:
        sys.exit(f"train: {error}")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
