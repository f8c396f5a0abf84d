"""Golden sets through the real trial: its sandbox, interpreter and image decoder."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.trial import golden_set
from agent.trial.golden_set import GoldenSetInvalid, archive_set, folder_set
from agent.trial.limits import TrialLimits
from agent.trial.trial import TrialFiles, try_model
from agent.trial.verdict import TrialReport
from provisioning.golden_set import GoldenSetUnfit, pack_golden_set
from states.ports import Postponed, Rejected
from states.proof import ClassFindings
from states.reasons import Rejection
from tests.support.golden import archive, coloured, picture, write_folder
from tests.support.runtimes import RUNTIMES
from tests.support.tiny_models import TinyModel, reversed_colours

LIMITS = TrialLimits(timed_runs=2, golden_seconds=20)


@pytest.fixture
def files(tmp_path: Path) -> TrialFiles:
    (tmp_path / "m.tflite").write_bytes(TinyModel().build())
    (tmp_path / "l.txt").write_text("red\ngreen\n")
    return TrialFiles(tmp_path / "m.tflite", tmp_path / "l.txt", None, tmp_path / "golden")


async def run(files: TrialFiles, content: bytes, **how: bool) -> TrialReport:
    assert files.golden_set
    files.golden_set.write_bytes(content)
    return await try_model(files, LIMITS, **how)  # type: ignore[arg-type]


async def fault(files: TrialFiles, content: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        await run(files, content)
    assert caught.value.reason is Rejection.GOLDEN_SET_INVALID
    return caught.value.detail


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_right_answers_are_counted_for_each_label(files: TrialFiles, runtime: str) -> None:
    pictures = {**coloured("red", "green"), "green/wrong.png": picture("red", ".png")}
    assert files.golden_set
    files.golden_set.write_bytes(archive(pictures))
    report = await try_model(files, LIMITS, runtime=runtime)  # type: ignore[arg-type]
    assert report.golden
    assert report.golden.classes == {"red": ClassFindings(3, 3), "green": ClassFindings(3, 4)}
    assert report.golden.answers == {"red": 4, "green": 3}
    assert (report.golden.right, report.golden.pictures, report.golden.available) == (6, 7, 7)


async def test_a_folder_gives_what_an_archive_of_it_gives(files: TrialFiles) -> None:
    assert files.golden_set
    write_folder(files.golden_set, coloured("red", "green"))
    (files.golden_set / "notes.txt").write_text("not a picture")
    from_folder = (await try_model(files, LIMITS)).golden
    packed = pack_golden_set(files.golden_set)
    assert pack_golden_set(files.golden_set) == packed
    for path in files.golden_set.rglob("*.*"):
        path.unlink()
    files.golden_set.joinpath("red").rmdir()
    files.golden_set.joinpath("green").rmdir()
    files.golden_set.rmdir()
    from_archive = (await run(files, packed)).golden
    assert from_folder
    assert from_archive
    assert from_folder.classes == from_archive.classes
    assert from_folder.digest


async def test_a_model_that_knows_less_is_wrong_where_that_is_asked_for(files: TrialFiles) -> None:
    pictures = archive(coloured("red", "blue"))
    assert "'blue' is not in the labels file" in await fault(files, pictures)
    report = await run(files, pictures, golden_labels_must_be_known=False)
    assert report.golden
    assert report.golden.classes == {"red": ClassFindings(3, 3), "blue": ClassFindings(0, 3)}


async def test_a_missing_golden_set_is_no_fault_of_the_content(files: TrialFiles) -> None:
    with pytest.raises(Postponed, match="golden"):
        await try_model(files, LIMITS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no readable ZIP"),
        (b"PK\x05\x06" + bytes(18), "there is no"),
        (archive({"red/1.jpg": b"no picture"}), "'red/1.jpg' is no picture"),
        (archive({"red/1.jpg": b""}), "'red/1.jpg' is no picture"),
    ],
    ids=["empty", "no entries", "no picture", "nothing"],
)
async def test_what_can_not_be_used_is_named(files: TrialFiles, content: bytes, said: str) -> None:
    assert said in await fault(files, content)


async def test_a_small_file_that_declares_a_huge_picture_is_refused(files: TrialFiles) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    huge = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))
    assert "'red/1.png'" in await fault(files, archive({"red/1.png": huge}))


def opened(content: bytes, most: int = 100) -> golden_set.GoldenSet:
    return archive_set(io.BytesIO(content), most)


@pytest.mark.parametrize(
    "name",
    [
        "1.jpg",
        "a/b/1.jpg",
        "/etc/1.jpg",
        "../1.jpg/",
        "red/../1.jpg",
        "red/1.gif",
        "red/.jpg/..",
        "__MACOSX/._1",
        "red/1\n.jpg",
    ],
)
def test_a_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(GoldenSetInvalid, match=r"is not|is no"):
        opened(archive({name: b"x"}))


def test_no_file_is_written_whatever_the_names_are(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    made = opened(archive({"../1.jpg": b"x"}))
    assert [(p.label, p.name, p.read()) for p in made.pictures] == [("..", "1.jpg", b"x")]
    assert list(tmp_path.rglob("*.jpg")) == []


def test_a_picture_that_is_larger_than_it_says_is_read_no_further() -> None:
    content = bytearray(archive({"red/1.jpg": bytes(1_000_000)}))
    for position, offset in ((content.find(b"PK\x03\x04"), 22), (content.find(b"PK\x01\x02"), 24)):
        content[position + offset : position + offset + 4] = struct.pack("<I", 10)
    (found,) = opened(bytes(content)).pictures
    try:
        assert len(found.read()) <= 10
    except GoldenSetInvalid as error:
        assert "1.jpg" in str(error)  # noqa: PT017 - either will do


def test_a_picture_that_says_it_is_huge_is_refused() -> None:
    content = bytearray(archive({"red/1.jpg": b"x"}))
    position = content.find(b"PK\x01\x02") + 24
    content[position : position + 4] = struct.pack("<I", golden_set.LARGEST_PICTURE + 1)
    with pytest.raises(GoldenSetInvalid, match="16 MiB"):
        opened(bytes(content))


def test_other_compressions_are_refused() -> None:
    with pytest.raises(GoldenSetInvalid, match="deflate"):
        opened(archive({"red/1.jpg": b"x"}, zipfile.ZIP_LZMA))


def test_a_picture_that_is_there_twice_is_refused() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("red/1.jpg", b"x")
        with pytest.warns(UserWarning, match="Duplicate"):
            made.writestr("red/1.jpg", b"y")
    with pytest.raises(GoldenSetInvalid, match="twice"):
        opened(packed.getvalue())


def test_too_many_pictures_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_set, "MOST_ENTRIES", 5)
    with pytest.raises(GoldenSetInvalid, match="more than 5"):
        opened(archive({f"red/{n}.jpg": b"x" for n in range(6)}))


def test_a_sample_is_even_and_always_the_same() -> None:
    names = [f"red/{n}.jpg" for n in range(90)] + [f"green/{n}.jpg" for n in range(10)]
    backwards = archive(dict.fromkeys(reversed(names), b"x"))
    first, second = opened(archive(dict.fromkeys(names, b"x")), 12), opened(backwards, 12)
    chosen = [(p.label, p.name) for p in first.pictures]
    assert chosen == [(p.label, p.name) for p in second.pictures]
    assert [label for label, _ in chosen] == ["green", "red"] * 6
    assert first.available == 100


def test_accents_are_the_same_label_however_they_are_written(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", {"o\u0308l/1.jpg": b"x"})
    assert folder_set(tmp_path / "set", 9).pictures[0].label == "\u00f6l"
    (found,) = opened(archive({"o\u0308l/1.jpg": b"x"})).pictures
    assert golden_set.same_label(found, "\u00f6l")


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1))
def test_any_damage_to_an_archive_is_noticed_or_harmless(seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = bytearray(archive(coloured("red", "green", each=2)))
    for _ in range(rng.integers(1, 8)):
        content[rng.integers(len(content))] = rng.integers(256)
    if rng.integers(2):
        del content[rng.integers(len(content)) :]
    try:
        for found in opened(bytes(content)).pictures:
            assert len(found.read()) <= golden_set.LARGEST_PICTURE
    except GoldenSetInvalid as error:
        assert str(error)  # noqa: PT017 - either will do


def test_a_folder_that_makes_no_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(GoldenSetUnfit, match="no folder"):
        pack_golden_set(tmp_path / "absent")
    with pytest.raises(GoldenSetUnfit, match="<label>/<picture>"):
        pack_golden_set(tmp_path)
    write_folder(tmp_path, {"red/1.jpg": b""})
    with pytest.raises(GoldenSetUnfit, match=r"1\.jpg has 0 bytes"):
        pack_golden_set(tmp_path)


async def test_a_slow_model_is_judged_by_what_it_got_done(files: TrialFiles) -> None:
    files.model.write_bytes(reversed_colours().build())
    assert files.golden_set
    files.golden_set.write_bytes(archive(coloured("red", "green", each=20)))
    report = await try_model(files, TrialLimits(timed_runs=2, golden_seconds=1e-9))
    assert report.golden
    assert (report.golden.pictures, report.golden.available) == (1, 40)
