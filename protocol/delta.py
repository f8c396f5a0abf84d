"""Patches: a companion artifact that makes one package out of another the device holds.

The format is specified in ``docs/delta-format.md``. Both ends use this module, so it needs neither
a link nor a file system: a patch is 88 bytes of header and one Zstandard frame (RFC 8878) whose
content may refer to the base as to bytes that precede it.

    >>> companion_name("ai-model"), companion_version("0" * 64, "f" * 64)
    ('ai-model-delta', '00000000ffffffff')
"""

from __future__ import annotations

import hashlib
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from protocol.errors import CodecError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"\x93EFDLTA"
FORMAT = 1
SMALLEST_BASE = 8
"""Bytes; Zstandard takes nothing shorter for a base."""
LARGEST = 64 << 20
"""Bytes a base and a target may have: restoring needs about the two together in memory."""
PIECE = 64 << 10
"""Bytes that are read and restored at a time."""

_HEADER = struct.Struct(">7sBQQ32s32s")
_COMPANION = re.compile(r"(?P<package>.+)-delta(?P<number>[1-9][0-9]?)?", re.DOTALL)
_VERSION = re.compile(r"(?P<base>[0-9a-f]{8})(?P<target>[0-9a-f]{8})")
_PREFIX = 8
# Neither is always the better one: beyond 32 MiB the higher misses much of what is the same.
_LEVELS = (9, 19)
_WINDOW_LOGS = (10, 27)


class DeltaError(CodecError):
    """No patch, a damaged one, or one for other files. The full package takes its place."""


@dataclass(frozen=True)
class PatchHeader:
    """What a patch says about itself: SHA-256 as 64 hexadecimal digits, sizes in bytes."""

    base_sha256: str
    base_size: int
    target_sha256: str
    target_size: int

    def encode(self) -> bytes:
        """The 88 bytes at the beginning of a patch."""
        digests = bytes.fromhex(self.base_sha256), bytes.fromhex(self.target_sha256)
        return _HEADER.pack(MAGIC, FORMAT, self.base_size, self.target_size, *digests)


def companion_name(package: str, number: int = 0) -> str:
    """The package that carries a patch of ``package``; ``number`` tells up to 100 bases apart."""
    return f"{package}-delta{number or ''}"


def companion_version(base_sha256: str, target_sha256: str) -> str:
    """The version of a patch: how the digests of base and target begin, 16 digits in all."""
    return base_sha256[:_PREFIX] + target_sha256[:_PREFIX]


def companion_of(package: str, version: str) -> tuple[str, str, str] | None:
    """Package, beginning of the base's and of the target's SHA-256; None for other packages."""
    name, digests = _COMPANION.fullmatch(package), _VERSION.fullmatch(version)
    if name is None or digests is None:
        return None
    return name["package"], digests["base"], digests["target"]


def sha256(content: bytes) -> str:
    """The digest as manifests and headers have it: 64 lower-case hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def make_patch(base: bytes, target: bytes) -> bytes:
    """A patch that makes ``target`` out of ``base``.

    Takes half a second of CPU for 4 MiB, seconds for tens of them. Raises ValueError for sizes the
    format does not know.
    """
    if not SMALLEST_BASE <= len(base) <= LARGEST or not 1 <= len(target) <= LARGEST:
        raise ValueError(
            f"no patch from {len(base)} to {len(target)} bytes: a base has {SMALLEST_BASE} to"
            f" {LARGEST} bytes, a target 1 to {LARGEST}; deploy the full package alone"
        )
    header = PatchHeader(sha256(base), len(base), sha256(target), len(target))
    return header.encode() + min((_frame(base, target, level) for level in _LEVELS), key=len)


def _frame(base: bytes, target: bytes, level: int) -> bytes:
    parameter = zstd.CompressionParameter
    options: dict[int, int] = {
        parameter.compression_level: level,
        # Finds what has moved a long way, as everything behind an inserted tensor has.
        parameter.enable_long_distance_matching: 1,
        parameter.window_log: _window_log(len(base) + len(target)),
        parameter.content_size_flag: 1,
        # The SHA-256 of the whole result is checked anyway.
        parameter.checksum_flag: 0,
    }
    prefix = zstd.ZstdDict(base, is_raw=True).as_prefix
    return zstd.compress(target, options=options, zstd_dict=prefix)


def read_header(patch: BinaryIO) -> PatchHeader:
    """Read the header; the frame follows in ``patch``. Raises DeltaError."""
    encoded = patch.read(_HEADER.size)
    if len(encoded) < _HEADER.size or not encoded.startswith(MAGIC):
        raise DeltaError(f"no patch: it begins with {encoded[:8].hex() or 'nothing'}")
    _, version, base_size, target_size, base, target = _HEADER.unpack(encoded)
    if version != FORMAT:
        raise DeltaError(f"patch format {version} is not known here, only {FORMAT}")
    if not SMALLEST_BASE <= base_size <= LARGEST or not 1 <= target_size <= LARGEST:
        raise DeltaError(f"a patch from {base_size} to {target_size} bytes is out of bounds")
    return PatchHeader(base.hex(), base_size, target.hex(), target_size)


def restore(header: PatchHeader, base: bytes, patch: BinaryIO) -> Iterator[bytes]:
    """The target, piece by piece; ``patch`` stands behind its header.

    No piece is longer than 64 KiB, all together are never longer than the header says, and the
    memory needed is bounded by the sizes in the header: compare them with what is known of base
    and target before. The pieces are unproven until the SHA-256 of all of them is. Raises
    DeltaError.
    """
    if len(base) != header.base_size:
        raise DeltaError(f"the base has {len(base)} bytes, the patch needs {header.base_size}")
    window_log_max = zstd.DecompressionParameter.window_log_max
    limit: dict[int, int] = {window_log_max: _window_log(header.target_size)}
    prefix = zstd.ZstdDict(base, is_raw=True).as_prefix
    del base  # It was copied: only one of the two need stay in memory.
    frame = zstd.ZstdDecompressor(zstd_dict=prefix, options=limit)
    missing = header.target_size
    while not frame.eof:
        piece = _next_piece(frame, patch)
        missing -= len(piece)
        if missing < 0:
            raise DeltaError(f"the patch holds more than the {header.target_size} bytes it says")
        yield piece
    if missing:
        raise DeltaError(f"the patch lacks {missing} of {header.target_size} bytes")
    if frame.unused_data or patch.read(1):
        raise DeltaError("bytes follow the end of the patch")


def _next_piece(frame: zstd.ZstdDecompressor, patch: BinaryIO) -> bytes:
    compressed = patch.read(PIECE) if frame.needs_input else b""
    if frame.needs_input and not compressed:
        raise DeltaError("the patch is cut short")
    try:
        return frame.decompress(compressed, max_length=PIECE)
    except zstd.ZstdError as error:
        raise DeltaError(f"the patch can't be read: {error}") from error


def _window_log(size: int) -> int:
    """The smallest window that holds ``size`` bytes, as a power of two."""
    lowest, highest = _WINDOW_LOGS
    return min(highest, max(lowest, (size - 1).bit_length()))
