"""A device's samples as a training folder: ``<label>/<id>.jpg`` by what the model took them for."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agent.samples.store import Sample
from agent.samples.training_folder import CSV_FILE, LABELS_FILE, csv_of, label_folder, labels_of
from agent.store.files import storage_errors

COLUMNS = (
    "file",
    "label",
    "confidence",
    "why",
    "taken_at",
    "release",
    "version",
    "source",
    "frame",
)
METADATA = ("confidence", "why", "taken_at", "release", "version", "source")


class FolderNotEmpty(Exception):  # noqa: N818 - reads as what happened
    """The folder to export to holds something already."""


def export_samples(samples: Iterable[Sample], folder: Path) -> int:
    """Copy samples into a new or empty folder; returns how many.

    A sample that is deleted meanwhile is left out. Raises FolderNotEmpty, and Postponed when the
    disk or its permissions are in the way.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FolderNotEmpty(f"{folder} is not empty; name a new folder")
        rows = [row for sample in samples if (row := _copy(sample, folder))]
        (folder / CSV_FILE).write_bytes(csv_of(rows, COLUMNS))
        (folder / LABELS_FILE).write_bytes(labels_of(rows, METADATA))
    return len(rows)


def _copy(sample: Sample, folder: Path) -> dict[str, Any] | None:
    place = Path(label_folder(sample.label)) / sample.picture.name
    (folder / place).parent.mkdir(exist_ok=True)
    try:
        shutil.copyfile(sample.picture, folder / place)
    except FileNotFoundError:
        return None
    known = {name: sample.document.get(name) for name in COLUMNS}
    return {**known, "file": str(place), "label": sample.label, "confidence": sample.confidence}
