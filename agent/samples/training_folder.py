"""Pictures with labels in a folder that training scripts and Edge Impulse's uploader read.

``<label>/<name>.jpg``, ``samples.csv``, and ``info.labels`` in Edge Impulse's format
(docs.edgeimpulse.com/tools/specifications/data-annotation/ei-labels), with which
``edge-impulse-uploader --info-file info.labels`` uploads them under exactly those labels.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from agent.store.names import safe_name

CSV_FILE = "samples.csv"
LABELS_FILE = "info.labels"
_LONGEST_NAME = 200

Row = Mapping[str, Any]
"""What is known of a picture: its ``file`` within the folder, its ``label``, and more."""


def label_folder(label: str) -> str:
    """A folder name for any label; as it is, wherever a file system can take that."""
    name = label.replace("%", "%25").replace("/", "%2F")
    if name.startswith("."):
        name = "%2E" + name[1:]
    fits = name.isprintable() and 0 < len(name.encode()) <= _LONGEST_NAME
    return name if fits else safe_name(label)


def folder_label(name: str) -> str:
    """The label that a folder stands for; of a label that was too long, the folder's own name."""
    return unquote(name)


def csv_of(rows: Iterable[Row], columns: Sequence[str]) -> bytes:
    """The rows as CSV; ``columns`` that a row lacks stay empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def labels_of(rows: Iterable[Row], metadata: Sequence[str]) -> bytes:
    """The rows as ``info.labels``; ``metadata`` names what is uploaded beside the label."""
    files = [
        {
            "path": row["file"],
            "name": PurePosixPath(row["file"]).stem,
            "category": "training",
            "label": {"type": "label", "label": row["label"]},
            # Edge Impulse takes texts alone.
            "metadata": {name: str(row[name]) for name in metadata if row.get(name) is not None},
        }
        for row in rows
    ]
    content = json.dumps({"version": 1, "files": files}, indent=2, ensure_ascii=False)
    return f"{content}\n".encode()
