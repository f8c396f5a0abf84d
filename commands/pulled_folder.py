"""The folder that ``edgeferry samples pull`` fills, again and again.

``samples.jsonl`` says what was pulled, one line each, and is what the next pull goes by: a picture
that was deleted does not come back, and one that was moved to another label's folder has that label
from then on, in ``samples.csv`` and ``info.labels`` as well.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.samples.training_folder import (
    CSV_FILE,
    LABELS_FILE,
    csv_of,
    folder_label,
    label_folder,
    labels_of,
)
from agent.store.files import Files, storage_errors
from provisioning.errors import WrongUsage
from provisioning.sample_parts import Key, PulledSample

LIST_FILE = "samples.jsonl"
RESUME_FILE = ".resume.json"
METADATA = (
    "predicted",
    "confidence",
    "known_label",
    "why",
    "taken_at",
    "release",
    "version",
    "device",
    "name",
)
COLUMNS = ("file", "label", *METADATA, "device_id", "id", "sha256")
_FOLDER_MODE = 0o755
# Edge Impulse takes the label from a file's name up to the first other character, where it has no
# info.labels to go by (docs.edgeimpulse.com/studio/projects/data-acquisition/uploader).
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9 _-]")
_LONGEST_NAME = 80

Row = dict[str, Any]


class PulledFolder:
    """One such folder. Methods raise Postponed when the disk or its permissions are in the way."""

    def __init__(self, folder: Path) -> None:
        """Raises WrongUsage for a folder that holds something else."""
        self._folder, self._files = folder, Files()
        list_file = folder / LIST_FILE
        with storage_errors(folder):
            if folder.is_dir() and any(folder.iterdir()) and not list_file.exists():
                raise WrongUsage(f"{folder} holds something else; name a new or an earlier folder")
            folder.mkdir(parents=True, exist_ok=True)
            self.rows = _rows(list_file.read_bytes()) if list_file.exists() else []
        self._list_file = list_file
        self._files.remove_leftovers(folder)
        # Without a line that a power cut left half.
        self._write(LIST_FILE, _lines(self.rows))
        self._resume = self._read_resume()

    @property
    def keys(self) -> list[Key]:
        """Of the pictures that were pulled."""
        return [(row["device_id"], row["id"], row["sha256"]) for row in self.rows]

    def resume_from(self, device_id: str) -> datetime | None:
        """All that came from a device before that is here; None where nothing was pulled yet."""
        return self._resume.get(device_id)

    def pulled_to(self, device_id: str, moment: datetime) -> None:
        """What came from a device before ``moment`` needs no other look."""
        self._resume[device_id] = moment

    def add(self, sample: PulledSample, device_name: str) -> None:
        """Write a picture, and then the line that says so."""
        row = _row(sample, device_name)
        place = self._folder / row["file"]
        self._files.make_folder(place.parent, _FOLDER_MODE)
        self._files.write_replacing(place, sample.jpeg)
        with storage_errors(self._list_file), self._list_file.open("ab") as file:
            file.write(_lines([row]))
        self.rows.append(row)

    def finish(self) -> None:
        """Bring the lists up to date with the folders, and remember how far it is pulled."""
        with storage_errors(self._folder):
            there = {path.name: path for path in self._folder.glob("*/*.jpg")}
        self.rows = [_moved(row, there.get(Path(row["file"]).name)) for row in self.rows]
        present = [row for row in self.rows if Path(row["file"]).name in there]
        self._write(LIST_FILE, _lines(self.rows))
        self._write(CSV_FILE, csv_of(present, COLUMNS))
        self._write(LABELS_FILE, labels_of(present, METADATA))
        resume = {device: moment.isoformat() for device, moment in sorted(self._resume.items())}
        self._write(RESUME_FILE, json.dumps(resume, indent=2).encode())

    def _write(self, name: str, content: bytes) -> None:
        self._files.write_replacing(self._folder / name, content)

    def _read_resume(self) -> dict[str, datetime]:
        path = self._folder / RESUME_FILE
        with storage_errors(path):
            if not path.exists():
                return {}
            content = path.read_bytes()
        try:
            return {name: datetime.fromisoformat(at) for name, at in json.loads(content).items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise WrongUsage(f"{path}: {error}; delete it, then everything is looked at") from error


def _row(sample: PulledSample, device_name: str) -> Row:
    known = sample.known
    best = known.top[0]
    label = known.known_label or best.label
    prefix = _NOT_IN_NAMES.sub("_", label)[:_LONGEST_NAME] or "_"
    name = f"{prefix}.{sample.device}-{known.id}-{known.sha256[:8]}.jpg"
    return {
        "file": f"{label_folder(label)}/{name}",
        "label": label,
        "predicted": best.label,
        "confidence": best.confidence,
        "known_label": known.known_label,
        "why": known.why,
        "taken_at": known.taken_at,
        "release": known.release,
        "version": known.version,
        "device": device_name,
        "device_id": sample.device,
        "id": known.id,
        "name": known.name,
        "sha256": known.sha256,
        "top": [answer.model_dump() for answer in known.top],
    }


def _moved(row: Row, path: Path | None) -> Row:
    if path is None:
        return row
    place = f"{path.parent.name}/{path.name}"
    if place == row["file"]:
        return row
    return {**row, "file": place, "label": folder_label(path.parent.name)}


def _rows(content: bytes) -> list[Row]:
    """The lines; what follows the last line end was cut off by a power cut."""
    whole, _, _ = content.rpartition(b"\n")
    rows = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            row = json.loads(line)
            rows.append({name: row[name] for name in (*COLUMNS, "top")})
        except (ValueError, LookupError, TypeError) as error:
            raise WrongUsage(
                f"{LIST_FILE}, line {number}: {error!r}; mend it or pull into a new folder"
            ) from error
    return rows


def _lines(rows: list[Row]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
