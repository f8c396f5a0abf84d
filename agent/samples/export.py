"""Samples as a folder that training scripts and Edge Impulse's uploader read.

``<label>/<id>.jpg`` by what the model took them for, ``samples.csv``, and ``info.labels`` in Edge
Impulse's format (docs.edgeimpulse.com/tools/specifications/data-annotation/ei-labels), with which
``edge-impulse-uploader --info-file info.labels`` uploads them under exactly those labels.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agent.samples.store import Sample
from agent.store.files import storage_errors
from agent.store.names import safe_name

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
_LONGEST_NAME = 200


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
        _write_csv(folder / "samples.csv", rows)
        _write_labels(folder / "info.labels", rows)
    return len(rows)


def label_folder(label: str) -> str:
    """A folder name for any label; as it is, wherever a file system can take that."""
    name = label.replace("%", "%25").replace("/", "%2F")
    if name.startswith("."):
        name = "%2E" + name[1:]
    return name if 0 < len(name.encode()) <= _LONGEST_NAME else safe_name(label)


def _copy(sample: Sample, folder: Path) -> dict[str, Any] | None:
    place = Path(label_folder(sample.label)) / sample.picture.name
    (folder / place).parent.mkdir(exist_ok=True)
    try:
        shutil.copyfile(sample.picture, folder / place)
    except FileNotFoundError:
        return None
    known = {name: sample.document.get(name) for name in COLUMNS}
    return {**known, "file": str(place), "label": sample.label, "confidence": sample.confidence}


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _write_labels(path: Path, rows: list[dict[str, Any]]) -> None:
    files = [
        {
            "path": row["file"],
            "name": Path(row["file"]).stem,
            "category": "training",
            "label": {"type": "label", "label": row["label"]},
            # Edge Impulse takes texts alone.
            "metadata": {
                name: str(row[name])
                for name in ("confidence", "why", "taken_at", "release", "version", "source")
                if row[name] is not None
            },
        }
        for row in rows
    ]
    content = json.dumps({"version": 1, "files": files}, indent=2, ensure_ascii=False)
    path.write_text(content + "\n", encoding="utf-8")
