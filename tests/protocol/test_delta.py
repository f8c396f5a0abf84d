"""Patches: what is made is restored, and nothing else is let through."""

from __future__ import annotations

import random
import re
import subprocess
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.delta import (
    FORMAT,
    LARGEST,
    MAGIC,
    PIECE,
    DeltaError,
    PatchHeader,
    companion_name,
    companion_of,
    companion_version,
    make_patch,
    read_header,
    restore,
)
from tests.support.programs import needs

BASE = random.Random(1).randbytes(300_000)
TARGET = BASE[:1000] + b"inserted" + BASE[1000:200_000] + b"changed!" + BASE[200_008:]
PATCH = make_patch(BASE, TARGET)
HEADER_SIZE = 88
PROJECT = Path(__file__).parents[2]


def restored(patch: bytes, base: bytes = BASE) -> bytes:
    stream = BytesIO(patch)
    header = read_header(stream)
    return b"".join(restore(header, base, stream))


def patch_around(frame: bytes, target_size: int, base: bytes = BASE) -> bytes:
    header = read_header(BytesIO(PATCH))
    changed = replace(header, base_size=len(base), target_size=target_size)
    return changed.encode() + frame


def test_a_patch_makes_the_target_out_of_the_base() -> None:
    assert restored(PATCH) == TARGET
    assert len(PATCH) < 300


def test_a_patch_says_what_it_is_for() -> None:
    header = read_header(BytesIO(PATCH))
    assert (header.base_size, header.target_size) == (len(BASE), len(TARGET))
    assert PATCH.startswith(MAGIC + bytes([FORMAT]))
    assert header.encode() == PATCH[:HEADER_SIZE]


@needs("zstd", "zstd")
def test_an_independent_decoder_reads_the_frame(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(BASE)
    (tmp_path / "frame").write_bytes(PATCH[HEADER_SIZE:])
    decode = ("zstd", "-d", "-q", "--patch-from=base", "frame", "-o", "target")
    subprocess.run(decode, cwd=tmp_path, check=True)
    assert (tmp_path / "target").read_bytes() == TARGET


def test_the_header_in_the_docs_is_that_of_the_demos_models() -> None:
    page = (PROJECT / "docs" / "delta-format.md").read_text()
    example = page[page.index("93 45 46 44 4c 54 41 01  ") :].partition("```")[0]
    written = "".join(re.findall(r"^((?:[0-9a-f]{2} ?){8,16})", example, re.MULTILINE))
    models = PROJECT / "demo" / "models"
    base = (models / "model-2.tflite").read_bytes()
    target = (models / "model-2-retrained-head.tflite").read_bytes()
    assert bytes.fromhex(written) == make_patch(base, target)[:HEADER_SIZE]


@given(st.binary(min_size=8, max_size=500), st.binary(min_size=1, max_size=500))
@example(b"12345678", b"x")
def test_any_pair_is_restored(base: bytes, target: bytes) -> None:
    assert restored(make_patch(base, target), base) == target


def test_a_base_far_from_its_use_is_found() -> None:
    chance = random.Random(2)
    base = chance.randbytes(5 << 20)
    target = base[4 << 20 :] + chance.randbytes(100) + base[: 4 << 20]
    patch = make_patch(base, target)
    assert restored(patch, base) == target
    assert len(patch) < 2000


@pytest.mark.parametrize(("base", "target"), [(b"1234567", b"x"), (b"12345678", b"")])
def test_sizes_the_format_does_not_know_are_refused(base: bytes, target: bytes) -> None:
    with pytest.raises(ValueError, match="deploy the full package"):
        make_patch(base, target)


def test_pieces_are_small_whatever_the_patch_expands_to() -> None:
    zeros = make_patch(BASE, bytes(10 << 20))
    assert len(zeros) < 1500
    stream = BytesIO(zeros)
    sizes = [len(piece) for piece in restore(read_header(stream), BASE, stream)]
    assert max(sizes) <= PIECE
    assert sum(sizes) == 10 << 20


def test_more_than_declared_is_cut_off() -> None:
    bomb = zstd.compress(bytes(50 << 20))
    stream = BytesIO(patch_around(bomb, 100_000))
    pieces: list[bytes] = []
    with pytest.raises(DeltaError):
        pieces.extend(restore(read_header(stream), BASE, stream))
    assert sum(map(len, pieces)) <= 100_000


def test_a_longer_result_in_an_allowed_window_is_cut_off() -> None:
    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: 10,
        zstd.CompressionParameter.content_size_flag: 0,
    }
    bomb = zstd.compress(bytes(50 << 20), options=options)
    with pytest.raises(DeltaError, match="more than the 100000 bytes"):
        restored(patch_around(bomb, 100_000))


def test_a_window_larger_than_the_target_is_refused() -> None:
    # 27 is the largest window a decoder grants by itself: only our own limit refuses it.
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    frame = compressor.compress(b"x", compressor.FLUSH_BLOCK) + compressor.flush()
    with pytest.raises(DeltaError, match="can't be read"):
        restored(patch_around(frame, 1))


def test_a_frame_for_a_trained_dictionary_is_refused() -> None:
    samples = [f"sample {n} of a dictionary".encode() * 4 for n in range(2000)]
    trained = zstd.train_dict(samples, 2000)
    with pytest.raises(DeltaError):
        restored(patch_around(zstd.compress(b"abc", zstd_dict=trained), 3))


def test_a_result_that_ends_early_is_refused() -> None:
    with pytest.raises(DeltaError, match=f"lacks 1 of {len(TARGET) + 1}"):
        restored(patch_around(PATCH[HEADER_SIZE:], len(TARGET) + 1))


@pytest.mark.parametrize("tail", [b"\0", PATCH[HEADER_SIZE:], bytes(3 * PIECE)])
def test_bytes_behind_the_patch_are_refused(tail: bytes) -> None:
    with pytest.raises(DeltaError, match="follow the end"):
        restored(PATCH + tail)


@pytest.mark.parametrize("length", [HEADER_SIZE, HEADER_SIZE + 1, len(PATCH) - 1])
def test_a_cut_off_frame_is_refused(length: int) -> None:
    with pytest.raises(DeltaError, match="cut short"):
        restored(PATCH[:length])


@given(st.integers(0, HEADER_SIZE - 1))
def test_a_cut_off_header_is_refused(length: int) -> None:
    with pytest.raises(DeltaError, match="no patch"):
        read_header(BytesIO(PATCH[:length]))


def test_another_format_version_is_refused_by_name() -> None:
    with pytest.raises(DeltaError, match="format 2 is not known"):
        read_header(BytesIO(MAGIC + b"\2" + PATCH[8:]))


@pytest.mark.parametrize(
    ("base_size", "target_size"), [(7, 1), (8, 0), (LARGEST + 1, 1), (8, LARGEST + 1), (8, 2**63)]
)
def test_sizes_out_of_bounds_are_refused(base_size: int, target_size: int) -> None:
    header = PatchHeader("0" * 64, base_size, "0" * 64, target_size)
    with pytest.raises(DeltaError, match="out of bounds"):
        read_header(BytesIO(header.encode()))


def test_another_base_is_refused_by_its_size() -> None:
    with pytest.raises(DeltaError, match="the patch needs 300000"):
        restored(PATCH, BASE[:-1])


@given(st.data())
def test_a_damaged_patch_is_refused_or_gives_bounded_bytes(data: st.DataObject) -> None:
    damaged = bytearray(PATCH)
    for place in data.draw(st.lists(st.integers(8, len(PATCH) - 1), min_size=1, max_size=8)):
        damaged[place] ^= data.draw(st.integers(1, 255))
    stream = BytesIO(bytes(damaged))
    try:
        header = read_header(stream)
        size = sum(len(piece) for piece in restore(header, BASE, stream))
    except DeltaError:
        return
    assert size == header.target_size


@given(st.binary(max_size=400), st.integers(1, 1 << 16))
@example(zstd.compress(b"")[:-1], 1)
@example(b"\x50\x2a\x4d\x18\x04\0\0\0skip", 4)
def test_any_bytes_as_a_frame_are_refused_or_bounded(frame: bytes, size: int) -> None:
    with suppress(DeltaError):
        assert len(restored(patch_around(frame, size))) == size


@given(st.binary(max_size=200))
def test_any_bytes_as_a_patch_are_refused(patch: bytes) -> None:
    with pytest.raises(DeltaError):
        restored(patch)


def test_a_companion_is_known_by_its_name_and_version() -> None:
    version = companion_version("0123456789abcdef" * 4, "fedcba9876543210" * 4)
    assert len(version) == 16
    for number in (0, 1, 99):
        name = companion_name("ai-model", number)
        assert companion_of(name, version) == ("ai-model", "01234567", "fedcba98")
        assert len(name) <= 16


@pytest.mark.parametrize(
    "name", ["ai-model", "-delta", "ai-model-delta0", "ai-model-delta100", "ai-model-delta-1"]
)
def test_other_names_are_no_companions(name: str) -> None:
    assert companion_of(name, "0123456789abcdef") is None


@pytest.mark.parametrize("version", ["1", "0123456789ABCDEF", "0123456789abcdef0", "g" * 16])
def test_other_versions_are_no_companions(version: str) -> None:
    assert companion_of("ai-model-delta", version) is None
