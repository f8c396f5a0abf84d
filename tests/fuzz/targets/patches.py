"""Patches: applied to a base as it is downloaded, and made of two files and applied."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

from protocol.delta import (
    PIECE,
    SMALLEST_BASE,
    DeltaError,
    PatchHeader,
    companion_of,
    make_patch,
    read_header,
    restore,
    sha256,
)
from tests.fuzz.target import Attempt, chosen, refusing, require

BASE = bytes(number * number % 251 for number in range(4096))
_APPLY, _NAMES, _MAKE = range(3)


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: a byte for what is done, then the patch, a name or two files."""
    yield _attempt


def seeds() -> Iterator[bytes]:
    """Patches from the base to files near and far."""
    for target in (BASE[:2000] + b"changed" + BASE[2000:], BASE, b"x", bytes(200_000)):
        yield bytes([_APPLY]) + make_patch(BASE, target)
    yield bytes([_APPLY]) + PatchHeader("0" * 64, 4096, "f" * 64, 64 << 20).encode()
    yield bytes([_NAMES]) + b"ai-model-delta2\n0123456789abcdef"
    yield bytes([_MAKE, 9]) + BASE[:64]


def _attempt(data: bytes) -> None:
    number, rest = chosen(data, 3)
    if number == _APPLY:
        _apply(rest)
    elif number == _NAMES:
        package, _, version = rest.decode(errors="surrogateescape").partition("\n")
        companion_of(package, version)
    else:
        cut, files = chosen(rest, 256)
        base, target = files[cut:], files[:cut]
        if len(base) >= SMALLEST_BASE and target:
            stream = io.BytesIO(make_patch(base, target))
            header = read_header(stream)
            require(b"".join(restore(header, base, stream)) == target, "another file once restored")
            require(header.target_sha256 == sha256(target), "a wrong hash")


def _apply(patch: bytes) -> None:
    stream = io.BytesIO(patch)
    with refusing(DeltaError):
        header = read_header(stream)
        require(PatchHeader.encode(header) == patch[:88], "another header once encoded")
        restored = 0
        for piece in restore(header, BASE, stream):
            restored += len(piece)
            require(len(piece) <= PIECE and restored <= header.target_size, "more than is said")
        require(restored == header.target_size, "less than is said")
