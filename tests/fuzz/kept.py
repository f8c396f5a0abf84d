"""Cases that are kept: the seed corpora, and whatever was found once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.target import Target

HERE = Path(__file__).parent
CORPUS, FOUND = HERE / "corpus", HERE / "found"


def kept_cases(target: Target) -> Iterator[tuple[str, bytes]]:
    """Every case of a target with its place below this folder."""
    for folder in (CORPUS / target.name, FOUND / target.name):
        for path in sorted(folder.glob("*")):
            yield str(path.relative_to(HERE)), path.read_bytes()


def keep(folder: Path, case: bytes) -> Path:
    """Keep a case under the name libFuzzer would give it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha1(case, usedforsecurity=False).hexdigest()
    path.write_bytes(case)
    return path
