#!/usr/bin/env python3
"""Make the demonstration's models and pictures again.

A development tool: it needs TensorFlow, in a virtual environment of its own.

    python3 -m venv /tmp/training && /tmp/training/bin/pip install -r demo/train-requirements.txt
    /tmp/training/bin/python -m demo.train

Each step can be run alone with --only; the later ones need what model-2 left in --work.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import keras
import numpy as np
import tensorflow as tf

from demo.training import network
from demo.training.scenes import LABELS, LIMITED, TEST, TRAINING, Variety, scene, scene_set

DEMO = Path(__file__).resolve().parent
# Seeds of sets that must not share a scene. Test sets also have backgrounds of their own.
TRAINING_SEED, LIMITED_SEED, RETRAINING_SEED, SCENES_SEED, PICTURES_SEED = 1, 2, 3, 4, 5
JPEG_QUALITY = 80
_REPRESENTATIVE = 100  # scenes on which an export measures the ranges of values


@dataclass(frozen=True)
class Plan:
    """How much work to put in, and where its results go."""

    scenes: int
    epochs: int
    final_epochs: int
    seed: int
    work: Path
    output: Path

    @property
    def weights(self) -> Path:
        """Model 2 before its export; the retrained head and the odd models start from it."""
        return self.work / "model-2.weights.h5"

    def write_model(self, name: str, content: bytes) -> None:
        """Store a finished model under ``output``."""
        path = self.output / "models" / f"{name}.tflite"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(f"{path}: {len(content):,} bytes")

    def trained(self) -> Any:
        """Model 2 as its training left it."""
        if not self.weights.exists():
            raise SystemExit(f"{self.weights} is missing: run --only model-2 first")
        model = network.build(len(LABELS))
        model.load_weights(self.weights)
        return model


def make_model_1(plan: Plan) -> None:
    """The hasty one: 240 scenes of green upright peppers and one shade of oranges."""
    pictures, labels = _rendered(LIMITED, LIMITED_SEED, 240)
    model = _untrained(plan, momentum=0.9)
    network.train(model, pictures, labels, epochs=16, final_epochs=4, seed=plan.seed)
    plan.write_model("model-1", network.export(model, pictures[:_REPRESENTATIVE]))


def make_model_2(plan: Plan) -> None:
    """The good one: every kind of scene."""
    pictures, labels = _rendered(TRAINING, TRAINING_SEED, plan.scenes)
    model = _untrained(plan)
    rounds = {"epochs": plan.epochs, "final_epochs": plan.final_epochs}
    network.train(model, pictures, labels, **rounds, seed=plan.seed)
    plan.work.mkdir(parents=True, exist_ok=True)
    model.save_weights(plan.weights)
    plan.write_model("model-2", network.export(model, pictures[:_REPRESENTATIVE]))


def make_retrained_head(plan: Plan) -> None:
    """Model 2 with its last layer learned again on new scenes: nearly all bytes stay the same."""
    model = plan.trained()
    pictures, labels = _rendered(TRAINING, RETRAINING_SEED, 400)
    network.retrain_head(model, pictures, labels, epochs=60, seed=plan.seed)
    representative, _ = _rendered(TRAINING, TRAINING_SEED, _REPRESENTATIVE)
    plan.write_model("model-2-retrained-head", network.export(model, representative))


def make_odd_models(plan: Plan) -> None:
    """A model with an output too many, and one that always gives the same answer."""
    model = plan.trained()
    representative, _ = _rendered(TRAINING, TRAINING_SEED, _REPRESENTATIVE)
    plan.write_model(
        "three-outputs", network.export(network.with_third_output(model), representative)
    )
    plan.write_model("collapsed", network.export(network.collapsed(model), representative))


def make_pictures(plan: Plan) -> None:
    """The labelled JPEG pictures, 20 of each class, and the names of the classes."""
    for index in range(40):
        picture, label = scene(TEST, PICTURES_SEED, index)
        path = plan.output / "pictures" / LABELS[label] / f"{index // 2 + 1:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    (plan.output / "models").mkdir(parents=True, exist_ok=True)
    (plan.output / "models" / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))


def make_test_scenes(plan: Plan) -> None:
    """600 more test scenes for demo.training.measure, too big to be committed."""
    plan.work.mkdir(parents=True, exist_ok=True)
    pictures, labels = _rendered(TEST, SCENES_SEED, 600)
    np.savez(plan.work / "scenes.npz", pictures=pictures, labels=labels)


STEPS: dict[str, Callable[[Plan], None]] = {
    "pictures": make_pictures,
    "model-1": make_model_1,
    "model-2": make_model_2,
    "retrained-head": make_retrained_head,
    "odd-models": make_odd_models,
    "test-scenes": make_test_scenes,
}


def _untrained(plan: Plan, **options: float) -> Any:
    keras.utils.set_random_seed(plan.seed)
    return network.build(len(LABELS), **options)


def _rendered(variety: Variety, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    print(f"rendering {count} scenes", flush=True)
    return scene_set(variety, seed, count)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", choices=STEPS, action="append", help="this step alone; repeatable"
    )
    parser.add_argument("--scenes", type=int, default=3000, help="training scenes of model 2")
    parser.add_argument("--epochs", type=int, default=12, help="rounds at 96x96 for model 2")
    parser.add_argument("--final-epochs", type=int, default=5, help="rounds at 160x160 for model 2")
    parser.add_argument("--seed", type=int, default=1, help="for weights and shuffling")
    parser.add_argument("--work", type=Path, default=Path("build/demo-training"))
    parser.add_argument("--output", type=Path, default=DEMO, help="gets models/ and pictures/")
    return parser.parse_args()


def main() -> None:
    """Run the chosen steps, all by default."""
    arguments = _arguments()
    chosen = arguments.only or list(STEPS)
    del arguments.only
    plan = Plan(**vars(arguments))
    tf.config.experimental.enable_op_determinism()
    for name in chosen:
        started = time.monotonic()
        print(f"== {name}", flush=True)
        STEPS[name](plan)
        print(f"== {name} took {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
