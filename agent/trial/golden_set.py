"""Golden sets: labelled pictures on which a candidate is tried (docs/golden-set.md).

An archive comes from the network, so it is only ever opened in the trial's sandbox, and nothing of
it is believed: sizes are bounded as declared and as unpacked, names are text and never paths. A
folder of the device's own is read before the sandbox closes.
"""

from __future__ import annotations

import hashlib
import struct
import unicodedata
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

SUFFIXES = (".jpg", ".jpeg", ".png")
MOST_ENTRIES = 20_000
LARGEST_PICTURE = 16 << 20
LARGEST_ARCHIVE = 256 << 20
LARGEST_FOLDER_SAMPLE = 64 << 20
_KNOWN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
# What zipfile lets out where an archive is damaged.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, OSError, MemoryError),
    *(ValueError, LookupError, RuntimeError, EOFError, OverflowError),
)


class GoldenSetInvalid(Exception):  # noqa: N818 - reads as what it is
    """The golden set can't be used; names the picture."""


@dataclass(frozen=True)
class GoldenPicture:
    """One picture with its label; ``read`` gives the file's bytes or raises GoldenSetInvalid."""

    label: str
    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class GoldenSet:
    """A sample of a golden set; ``available`` pictures are in the whole of it.

    ``digest`` identifies the content of a folder's sample; an archive has its own SHA-256.
    """

    pictures: Sequence[GoldenPicture]
    available: int
    digest: str | None = None


def archive_set(file: IO[bytes], most: int) -> GoldenSet:
    """A sample of a ZIP of ``<label>/<picture>``. Raises GoldenSetInvalid."""
    if file.seek(0, 2) > LARGEST_ARCHIVE:
        raise GoldenSetInvalid(f"the archive has more than {LARGEST_ARCHIVE >> 20} MiB")
    try:
        archive = zipfile.ZipFile(file)
        pictures = [_archived(archive, entry) for entry in archive.infolist() if not entry.is_dir()]
    except _DAMAGED as error:
        raise GoldenSetInvalid(f"no readable ZIP archive: {_said(error)}") from error
    return _sampled(pictures, most)


def folder_set(folder: Path, most: int) -> GoldenSet:
    """A sample of a folder with a sub-folder for each label, read into memory.

    Files that are no pictures are passed over. Raises GoldenSetInvalid, OSError.
    """
    found = (
        GoldenPicture(_text(path.parent.name), path.name, partial(_read_file, path))
        for label in sorted(folder.iterdir())
        if label.is_dir()
        for path in label.iterdir()
        if path.suffix.lower() in SUFFIXES
    )
    chosen = _sampled(found, most)
    held = [(picture, picture.read()) for picture in chosen.pictures]
    if sum(len(content) for _, content in held) > LARGEST_FOLDER_SAMPLE:
        limit = LARGEST_FOLDER_SAMPLE >> 20
        raise GoldenSetInvalid(f"its pictures have more than {limit} MiB; make them smaller")
    digest = hashlib.sha256()
    for picture, content in held:
        digest.update(f"{picture.label}\0{picture.name}\0{len(content)}\0".encode())
        digest.update(content)
    kept = [GoldenPicture(p.label, p.name, partial(bytes, content)) for p, content in held]
    return GoldenSet(kept, chosen.available, digest.hexdigest())


def check_labels(golden: GoldenSet, labels: Iterable[str]) -> None:
    """Raises GoldenSetInvalid for a picture whose label the model does not know."""
    known = {_text(label) for label in labels}
    for picture in golden.pictures:
        if picture.label not in known:
            raise GoldenSetInvalid(
                f"'{picture.label}/{picture.name}': '{picture.label}' is not in the labels file"
            )


def same_label(picture: GoldenPicture, answer: str) -> bool:
    """Whether that answer is right."""
    return picture.label == _text(answer)


def _archived(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> GoldenPicture:
    label, _, name = _text(entry.filename).partition("/")
    shown = repr(entry.filename[:100])
    if not label or not name or "/" in name or not (label + name).isprintable():
        raise GoldenSetInvalid(f"{shown} is not <label>/<picture>")
    if not name.lower().endswith(SUFFIXES):
        raise GoldenSetInvalid(f"{shown} is no {', '.join(SUFFIXES)} file")
    if entry.compress_type not in _KNOWN_METHODS or entry.flag_bits & _ENCRYPTED:
        raise GoldenSetInvalid(f"{shown} is encrypted or compressed by other means than deflate")
    if entry.file_size > LARGEST_PICTURE:
        raise GoldenSetInvalid(f"{shown} has more than {LARGEST_PICTURE >> 20} MiB")
    return GoldenPicture(label, name, partial(_unpack, archive, entry))


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(entry) as file:
            # Never more than was declared, whatever the compressed bytes expand to.
            return file.read(entry.file_size)
    except _DAMAGED as error:
        raise GoldenSetInvalid(f"{entry.filename[:100]!r}: {_said(error)}") from error


def _said(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LARGEST_PICTURE + 1)
    if len(content) > LARGEST_PICTURE:
        raise GoldenSetInvalid(f"{path} has more than {LARGEST_PICTURE >> 20} MiB")
    return content


def _sampled(pictures: Iterable[GoldenPicture], most: int) -> GoldenSet:
    """Always the same of them, in turn from each label, so that any beginning is a fair sample."""
    by_label: defaultdict[str, list[GoldenPicture]] = defaultdict(list)
    names: set[tuple[str, str]] = set()
    for picture in pictures:
        key = (picture.label, picture.name)
        if key in names:
            raise GoldenSetInvalid(f"'{picture.label}/{picture.name}' is there twice")
        names.add(key)
        if len(names) > MOST_ENTRIES:
            raise GoldenSetInvalid(f"it has more than {MOST_ENTRIES} pictures")
        by_label[picture.label].append(picture)
    if not names:
        raise GoldenSetInvalid("there is no <label>/<picture> in it")
    ordered = [
        (turn, label, picture)
        for label, group in by_label.items()
        for turn, picture in enumerate(sorted(group, key=_shuffled))
    ]
    ordered.sort(key=lambda each: each[:2])
    return GoldenSet([picture for _, _, picture in ordered[:most]], len(names))


def _shuffled(picture: GoldenPicture) -> bytes:
    return hashlib.sha256(picture.name.encode(errors="surrogatepass")).digest()


def _text(name: str) -> str:
    # Archives made on a Mac write accents as letters of their own.
    return unicodedata.normalize("NFC", name)
