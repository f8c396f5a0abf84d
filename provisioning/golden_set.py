"""Golden sets as artifacts: a folder of labelled pictures packed into one archive.

The form is that of docs/golden-set.md: a ZIP of ``<label>/<picture>``. One folder always gives the
same bytes, so that publishing it twice is publishing it once.
"""

from __future__ import annotations

import io
import unicodedata
import zipfile
from pathlib import Path

from provisioning.errors import ProvisioningError

SUFFIXES = (".jpg", ".jpeg", ".png")
LARGEST_PICTURE = 16 << 20
# ZIP's first day: the time a file was written says nothing about a picture.
_TIMELESS = (1980, 1, 1, 0, 0, 0)


class GoldenSetUnfit(ProvisioningError):  # noqa: N818 - reads as what it is
    """The folder makes no golden set."""


def pack_golden_set(folder: Path) -> bytes:
    """The archive of ``folder/<label>/<picture>``; what is no JPEG or PNG by name is left out.

    Raises GoldenSetUnfit when there is no picture, or one that devices would refuse.
    """
    if not folder.is_dir():
        raise GoldenSetUnfit(f"{folder} is no folder; make one with a sub-folder for each label")
    paths = sorted(
        path
        for label in folder.iterdir()
        if label.is_dir()
        for path in label.iterdir()
        if path.suffix.lower() in SUFFIXES
    )
    if not paths:
        raise GoldenSetUnfit(f"there is no {folder}/<label>/<picture> ({', '.join(SUFFIXES)})")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            label, name = (_text(part) for part in path.parts[-2:])
            archive.writestr(zipfile.ZipInfo(f"{label}/{name}", _TIMELESS), _content(path))
    return packed.getvalue()


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise GoldenSetUnfit(f"{path} can't be read: {error.strerror}") from error
    if not 0 < len(content) <= LARGEST_PICTURE:
        limit = f"{LARGEST_PICTURE >> 20} MiB"
        raise GoldenSetUnfit(
            f"{path} has {len(content)} bytes, and a picture 1 byte to {limit}; remove it"
        )
    return content


def _text(name: str) -> str:
    # macOS writes accents as letters of their own; a label is one text wherever it was typed.
    return unicodedata.normalize("NFC", name)
