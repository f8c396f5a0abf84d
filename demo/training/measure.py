"""How often a model is right, with each TFLite runtime that this environment has.

python -m demo.training.measure            # the committed models on the committed pictures
python -m demo.training.measure --scenes FILE.npz
"""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

RUNTIMES = ("ai_edge_litert", "tflite_runtime")
DEMO = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class LabelledPictures:
    """RGB uint8 [n, 320, 320, 3] and the position of each picture's label."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """The int8 scores of one model for each picture, [n, classes]."""

    scores: NDArray[np.int8]

    @property
    def classes(self) -> NDArray[np.int64]:
        """The answer for each picture."""
        return np.asarray(self.scores.argmax(axis=1), np.int64)

    def right(self, labels: NDArray[np.int64]) -> int:
        """How many answers are the label."""
        return int((self.classes == labels).sum())


def load_pictures(folder: Path, labels: list[str]) -> LabelledPictures:
    """All ``folder/<label>/*.jpg`` in the order of their names.

    Raises:
        FileNotFoundError: a file can't be read as a picture.
    """
    pictures, positions = [], []
    for position, label in enumerate(labels):
        for path in sorted((folder / label).glob("*.jpg")):
            picture = cv2.imread(str(path))
            if picture is None:
                raise FileNotFoundError(f"{path} is no picture; restore it from the repository")
            pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            positions.append(position)
    return LabelledPictures(np.asarray(pictures, np.uint8), np.asarray(positions, np.int64))


def load_interpreter(model: Path, runtime: str) -> Any:
    """An interpreter of ``runtime`` (one of RUNTIMES), ready to be called."""
    module = importlib.import_module(f"{runtime}.interpreter")
    interpreter = module.Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def answers(model: Path, pictures: NDArray[np.uint8], runtime: str) -> Answers:
    """What ``model`` says to each picture, which must have the model's size."""
    interpreter = load_interpreter(model, runtime)
    given = interpreter.get_input_details()[0]["index"]
    wanted = interpreter.get_output_details()[0]["index"]
    scores = []
    for picture in pictures:
        interpreter.set_tensor(given, (picture ^ 0x80).view(np.int8)[None])  # pixel - 128
        interpreter.invoke()
        scores.append(interpreter.get_tensor(wanted)[0])
    return Answers(np.asarray(scores, np.int8))


def available_runtimes() -> list[str]:
    """Those of RUNTIMES that are installed here."""
    return [name for name in RUNTIMES if importlib.util.find_spec(name)]


def main() -> None:
    """Print one line for each model and runtime."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=Path, help="measure on this .npz of train.py instead")
    parser.add_argument("models", nargs="*", type=Path, help="default: every committed model")
    arguments = parser.parse_args()
    if arguments.scenes:
        stored = np.load(arguments.scenes)
        labelled = LabelledPictures(stored["pictures"], stored["labels"])
    else:
        labels = (DEMO / "models" / "labels.txt").read_text().split()
        labelled = load_pictures(DEMO / "pictures", labels)
    for model in arguments.models or sorted((DEMO / "models").glob("*.tflite")):
        for runtime in available_runtimes():
            right = answers(model, labelled.pictures, runtime).right(labelled.labels)
            count = len(labelled.labels)
            print(f"{model.name:32} {runtime:16} {right:4} of {count}  {right / count:6.1%}")


if __name__ == "__main__":
    main()
