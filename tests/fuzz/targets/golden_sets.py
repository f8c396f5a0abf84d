"""The archive of a golden set: opened, and every picture taken out."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from agent.trial.golden_set import LARGEST_PICTURE, GoldenSetInvalid, archive_set, check_labels
from tests.fuzz.target import Attempt, refusing, require
from tests.support.golden import archive

_MOST = 20


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: the archive."""
    yield _attempt


def seeds() -> Iterator[bytes]:
    """Archives as ``edgeferry publish`` and others make them."""
    files = {"red/1.jpg": b"\xff\xd8\xff" * 20, "green/ä.PNG": b"\x89PNG" * 9}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        yield archive(files, method)
    yield archive({"../etc/passwd": b"", "red/x/1.jpg": b""})
    yield archive({"red/bomb.png": bytes(200_000)})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        with made.open("red/1.jpg", "w", force_zip64=True) as file:
            file.write(b"\xff\xd8\xff")
        made.comment = b"a comment"
    yield packed.getvalue()


def _attempt(data: bytes) -> None:
    with refusing(GoldenSetInvalid):
        golden = archive_set(io.BytesIO(data), _MOST)
        require(0 < len(golden.pictures) <= min(_MOST, golden.available), "pictures out of nothing")
        with refusing(GoldenSetInvalid):
            check_labels(golden, ["red", "green"])
        for picture in golden.pictures:
            with refusing(GoldenSetInvalid):
                require(len(picture.read()) <= LARGEST_PICTURE, "a picture too large")
