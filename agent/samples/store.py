"""Samples on disk: ``<state dir>/samples/<id>.jpg`` with ``<id>.json`` beside it.

A sample is there once its JSON is: that is written last and removed first, each by a rename or an
unlink, so whoever looks meanwhile (a list, an export, an upload) never sees half of one. Ids begin
with a number that grows, so that the oldest is known even when the clock was wrong.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.store.files import Files, postponed, storage_errors

log = logging.getLogger(__name__)

FOLDER = "samples"
SERIAL_DIGITS = 10
_ID = r"\d{10}-[0-9TZ]+"
_NAME = re.compile(_ID + r"\.(jpg|json)")


@dataclass(frozen=True)
class Sample:
    """One picture and what is known of it."""

    id: str
    picture: Path
    document: Mapping[str, Any]
    """``taken_at``, ``why``, ``release``, ``version``, ``source``, ``frame``, ``name``, ``top``."""
    bytes: int
    """On disk, both files."""

    @property
    def label(self) -> str:
        """What the model took it for."""
        return str(self.document["top"][0]["label"])

    @property
    def confidence(self) -> float:
        """Score of that label."""
        return float(self.document["top"][0]["confidence"])

    def to_json(self) -> dict[str, Any]:
        """As commands show it."""
        return {"id": self.id, "picture": str(self.picture), "bytes": self.bytes, **self.document}


class SampleStore:
    """The samples of one device. One process adds; others may read and delete at any time.

    Methods raise Postponed when the disk or its permissions are in the way.
    """

    def __init__(
        self,
        state_dir: Path,
        files: Files,
        *,
        quota_bytes: int | None = None,
        group: bool = False,
    ) -> None:
        """``quota_bytes``: most that all samples together take once one is added.

        With ``group`` the folder's group may read and delete them, as it must where agent and
        worker are different users.
        """
        self.folder = state_dir / FOLDER
        self._files = files
        self._quota = quota_bytes
        self._last_serial = 0
        self._file_mode, self._folder_mode = (0o640, 0o770) if group else (0o600, 0o700)

    def clean(self) -> None:
        """Remove what a power cut left half-written. For the one process that adds."""
        if not self.folder.is_dir():
            return
        self._files.remove_leftovers(self.folder)
        for picture in self.folder.glob("*.jpg"):
            if not picture.with_suffix(".json").exists():
                self._files.unlink(picture)

    def add(self, jpeg: bytes, document: Mapping[str, Any], at: str) -> str:
        """Keep a picture, and delete the oldest to make room for it; returns its id.

        ``at`` is the time for the id, like 20261123T210000Z.
        """
        content = json.dumps(document, ensure_ascii=False).encode()
        if self._quota is not None:
            self.make_room(self._quota - len(jpeg) - len(content))
        self._files.make_folder(self.folder, self._folder_mode)
        sample_id = f"{self._next_serial():0{SERIAL_DIGITS}d}-{at}"
        picture = self.folder / f"{sample_id}.jpg"
        self._files.write_replacing(picture, jpeg, self._file_mode)
        self._files.write_replacing(picture.with_suffix(".json"), content, self._file_mode)
        return sample_id

    def oldest_first(self) -> Iterator[Sample]:
        """All samples; one that is deleted meanwhile is left out."""
        for sample_id in self.ids():
            if sample := self.find(sample_id):
                yield sample

    def ids(self) -> list[str]:
        """The ids of all samples, the oldest first; only their names are looked at."""
        return [path.stem for path in self._files_of_samples() if path.suffix == ".json"]

    def find(self, sample_id: str) -> Sample | None:
        """A sample by its id; None when it was deleted, or its JSON describes none."""
        return _read(self.folder / f"{sample_id}.json")

    def read(self, sample: Sample) -> bytes | None:
        """The JPEG, or None when it was deleted meanwhile."""
        with storage_errors(sample.picture), suppress(FileNotFoundError):
            return sample.picture.read_bytes()
        return None

    def holds(self, sample: Sample) -> bool:
        """Whether nobody has deleted it."""
        with storage_errors(sample.picture):
            return sample.picture.with_suffix(".json").exists()

    def acknowledge(self, sample: Sample) -> None:
        """It has arrived where it should: it goes."""
        self.delete(sample.id)

    def delete(self, sample_id: str) -> None:
        """Remove a sample, if it is there; a text that is no id removes nothing."""
        if not re.fullmatch(_ID, sample_id):
            return
        picture = self.folder / f"{sample_id}.jpg"
        self._files.unlink(picture.with_suffix(".json"))
        self._files.unlink(picture)

    def make_room(self, quota: int) -> None:
        """Delete the oldest until all together take at most ``quota`` bytes."""
        sizes = self._sizes()
        total = sum(sizes.values())
        for sample_id in sorted(sizes):
            if total <= quota:
                return
            self.delete(sample_id)
            total -= sizes[sample_id]

    def _next_serial(self) -> int:
        kept = (int(sample_id[:SERIAL_DIGITS]) for sample_id in self._sizes())
        # Those sent or deleted meanwhile count too, as far as this process knows of them.
        self._last_serial = max(self._last_serial, *kept, 0) + 1
        return self._last_serial

    def _sizes(self) -> dict[str, int]:
        """Bytes by id, of samples and of pictures whose JSON is not there (yet or any more)."""
        sizes: dict[str, int] = {}
        for path in self._files_of_samples():
            # Somebody else may delete it meanwhile.
            with storage_errors(path), suppress(FileNotFoundError):
                sizes[path.stem] = sizes.get(path.stem, 0) + path.stat().st_size
        return sizes

    def _files_of_samples(self) -> list[Path]:
        with storage_errors(self.folder):
            if not self.folder.is_dir():
                return []
            return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))


def _read(described: Path) -> Sample | None:
    picture = described.with_suffix(".jpg")
    try:
        content = described.read_bytes()
        size = len(content) + picture.stat().st_size
        document = json.loads(content)
        document["top"][0]["label"]
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError):
        log.warning("%s describes no sample; it is left out", described)
        return None
    except OSError as error:
        raise postponed(error, described) from error
    return Sample(described.stem, picture, document, size)
