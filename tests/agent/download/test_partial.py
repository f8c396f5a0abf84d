"""Partial files: any order, any accident, at most one checkpoint lost."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.download.block_set import BlockSet
from agent.download.checkpoint import Checkpoint, CheckpointPace
from agent.download.partial import Partial
from agent.store.files import Files, OpenFile
from states.ports import Postponed
from states.reasons import Transient
from tests.support.downloading import MemoryCheckpoints

SHA256 = "ab" * 32


class Notes(MemoryCheckpoints):
    """Checkpoints that survive a :class:`Partial`; ``steps`` is shared with the disk's."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []

    def save(self, sha256: str, checkpoint: Checkpoint) -> None:
        self.steps.append("save")
        super().save(sha256, checkpoint)

    def forget(self, sha256: str) -> None:
        self.steps.append("forget")
        super().forget(sha256)


class WatchedFiles(Files):
    """Real files whose steps are noted and whose syncs may fail."""

    def __init__(self, steps: list[str]) -> None:
        self.steps = steps
        self.broken = False

    def create(self, path: Path, mode: int = 0o644) -> OpenFile:
        self.steps.append("create")
        return super().create(path, mode)

    def sync_data(self, file: OpenFile) -> None:
        self.steps.append("sync-data")
        if self.broken:
            raise Postponed(Transient.STORAGE_ERROR, "broken")
        super().sync_data(file)

    def sync_folder(self, path: Path) -> None:
        self.steps.append("sync-folder")
        super().sync_folder(path)


class Bench:
    """A place to open the same partial file again and again, as after a restart."""

    def __init__(self, folder: Path, content: bytes) -> None:
        self.path = folder / f"{SHA256}.part"
        self.content = content
        self.notes = Notes()
        self.files = WatchedFiles(self.notes.steps)
        self.now = 0.0

    def open(self, pace: CheckpointPace | None = None) -> Partial:
        return Partial(
            self.path,
            SHA256,
            len(self.content),
            self.notes,
            pace=pace,
            files=self.files,
            clock=lambda: self.now,
        )

    def block(self, number: int, size: int = 1024) -> bytes:
        return self.content[number * size : (number + 1) * size]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, os.urandom(10 * 1024 + 100))


def power_cut(partial: Partial) -> None:
    """Forget the object without any of its clean-up."""
    os.close(partial._file.fd)


@settings(deadline=None)
@given(st.permutations(range(11)), st.lists(st.integers(0, 10)))
def test_blocks_in_any_order_with_duplicates_make_the_same_file(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], duplicates: list[int]
) -> None:
    bench = Bench(tmp_path_factory.mktemp("partial"), os.urandom(10 * 1024 + 100))
    with bench.open() as partial:
        for number in [*order[:5], *duplicates, *order]:
            already = number in partial.finished
            assert partial.write(number, bench.block(number)) is not already
        assert partial.complete
        assert partial.bytes_done == len(bench.content)
    assert bench.path.read_bytes() == bench.content


def test_data_is_on_disk_before_it_is_recorded(bench: Bench) -> None:
    with bench.open() as partial:
        partial.write(0, bench.block(0))
        bench.notes.steps.clear()
        partial.checkpoint()
        assert bench.notes.steps == ["sync-data", "save"]


def test_a_new_file_has_a_durable_name_and_no_note_of_another_life(bench: Bench) -> None:
    power_cut(bench.open())
    assert bench.notes.steps[:1] == ["forget"]
    assert bench.notes.steps.index("create") < bench.notes.steps.index("sync-folder", 2)


def test_after_a_power_cut_only_what_came_since_the_checkpoint_is_missing(bench: Bench) -> None:
    partial = bench.open()
    for number in (0, 1, 5, 7):
        partial.write(number, bench.block(number))
    partial.etag = b"e"
    partial.checkpoint()
    partial.write(2, bench.block(2))
    power_cut(partial)

    with bench.open() as again:
        assert again.finished == BlockSet(11, {0, 1, 5, 7})
        assert again.etag == b"e"
        assert again.bytes_done == 4 * 1024
        for number in (2, 3, 4, 6, 8, 9, 10):
            again.write(number, bench.block(number))
        assert again.complete
    assert bench.path.read_bytes() == bench.content


def test_leaving_records_everything(bench: Bench) -> None:
    with bench.open() as partial:
        partial.write(10, bench.block(10))
    with bench.open() as again:
        assert again.finished == BlockSet(11, {10})
        assert again.bytes_done == 100


async def test_a_checkpoint_beside_the_loop_records_what_was_there_when_it_began(
    bench: Bench,
) -> None:
    with bench.open() as partial:
        partial.write(0, bench.block(0))
        checkpoint = asyncio.ensure_future(partial.checkpoint_beside())
        await asyncio.sleep(0)
        partial.write(1, bench.block(1))
        await checkpoint
        noted = bench.notes.notes[SHA256]
        assert BlockSet.decode(noted.finished, 11) == BlockSet(11, {0})
    assert BlockSet.decode(bench.notes.notes[SHA256].finished, 11) == BlockSet(11, {0, 1})


def test_a_checkpoint_is_due_after_so_many_blocks_or_so_long(bench: Bench) -> None:
    with bench.open(CheckpointPace(blocks=4, seconds=1.0)) as partial:
        due, at_stake = [], []
        for number in range(4):
            partial.write(number, bench.block(number))
            due.append(partial.checkpoint_due)
            at_stake.append(partial.at_stake)
        assert due == [False, False, True, True]
        assert at_stake == [False, False, False, True]
        partial.checkpoint()
        assert not partial.checkpoint_due
        assert not partial.at_stake
        bench.now = 5.0
        assert not partial.checkpoint_due  # nothing new to record
        partial.write(4, bench.block(4))
        assert partial.checkpoint_due


async def test_starting_over_during_a_checkpoint_leaves_no_note_of_the_old_bytes(
    bench: Bench,
) -> None:
    with bench.open() as partial:
        partial.write(0, bench.block(0))
        checkpoint = asyncio.ensure_future(partial.checkpoint_beside())
        await asyncio.sleep(0)
        partial.start_over()
        partial.write(1, bench.block(1))
        await checkpoint
        assert SHA256 not in bench.notes.notes
    assert BlockSet.decode(bench.notes.notes[SHA256].finished, 11) == BlockSet(11, {1})


def note(bench: Bench) -> Checkpoint:
    return bench.notes.notes[SHA256]


def with_note(bench: Bench, **changes: object) -> None:
    bench.notes.notes[SHA256] = replace(note(bench), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("accident", "sure"),
    [
        (lambda b: None, {0, 1, 2, 3}),
        (lambda b: b.path.unlink(), set()),
        (lambda b: b.notes.notes.clear(), set()),
        (lambda b: os.truncate(b.path, 3 * 1024 - 1), {0, 1}),
        (lambda b: os.truncate(b.path, 0), set()),
        (lambda b: os.truncate(b.path, len(b.content) + 1), set()),
        (lambda b: with_note(b, total_size=5), set()),
        (lambda b: with_note(b, block_size=1000), set()),
        (lambda b: with_note(b, block_size=0), set()),
        (lambda b: with_note(b, finished=b"\xff" * 9), set()),
        (lambda b: with_note(b, finished=b""), set()),
        (lambda b: (b.path.unlink(), b.path.mkdir()), set()),
        (lambda b: (b.path.unlink(), b.path.symlink_to("/etc/hostname")), set()),
        (lambda b: b.path.chmod(0o444), {0, 1, 2, 3}),
    ],
)  # fmt: skip
def test_only_what_is_surely_there_counts(bench: Bench, accident: object, sure: set[int]) -> None:
    with bench.open() as partial:
        for number in range(4):
            partial.write(number, bench.block(number))
    assert callable(accident)
    accident(bench)

    with bench.open() as again:
        assert again.finished == BlockSet(11, sure)
        for number in set(range(11)) - sure:
            again.write(number, bench.block(number))
    assert bench.path.read_bytes() == bench.content
    assert bench.path.stat().st_mode & 0o222


def test_a_truncated_last_block_is_fetched_again(bench: Bench) -> None:
    with bench.open() as partial:
        for number in range(11):
            partial.write(number, bench.block(number))
    with bench.open() as again:
        assert again.complete
    os.truncate(bench.path, len(bench.content) - 1)
    with bench.open() as again:
        assert again.finished == BlockSet(11, range(10))


def test_nothing_is_recorded_after_a_failed_sync(bench: Bench) -> None:
    """The kernel may report an error once and then call the same pages clean."""
    partial = bench.open()
    partial.write(0, bench.block(0))
    partial.checkpoint()
    partial.write(1, bench.block(1))
    bench.files.broken = True
    with pytest.raises(Postponed):
        partial.checkpoint()
    bench.files.broken = False
    partial.close()
    with bench.open() as again:
        assert again.finished == BlockSet(11, {0})


def test_a_failing_last_checkpoint_does_not_hide_why_the_work_ended(bench: Bench) -> None:
    bench.files.broken = True

    def gather(error: type[Exception] | None) -> None:
        with bench.open() as partial:
            partial.write(0, bench.block(0))
            if error:
                raise error

    with pytest.raises(KeyError):
        gather(KeyError)
    with pytest.raises(Postponed):
        gather(None)


def test_starting_over_forgets_first_and_leaves_nothing(bench: Bench) -> None:
    with bench.open() as partial:
        partial.write(0, bench.block(0))
        partial.checkpoint()
        partial.etag = b"old"
        bench.notes.steps.clear()
        partial.start_over()
        assert bench.notes.steps[0] == "forget"
        assert len(partial.finished) == 0
        assert partial.etag is None
        assert bench.path.stat().st_size == 0


def test_smaller_blocks_keep_what_is_finished_over_a_restart(bench: Bench) -> None:
    with bench.open() as partial:
        for number in (0, 3, 10):
            partial.write(number, bench.block(number))
        done = partial.bytes_done
        partial.use_smaller_blocks(16)
        assert partial.bytes_done == done
    with bench.open() as again:
        assert again.block_size == 16
        assert again.bytes_done == done
        while (missing := again.finished.next_missing(0)) is not None:
            again.write(missing, bench.block(missing, 16))
    assert bench.path.read_bytes() == bench.content


@pytest.mark.parametrize(
    ("number", "payload"), [(0, b"x"), (10, b"x" * 1024), (11, b""), (-1, b"")]
)
def test_a_block_that_does_not_fit_is_never_written(
    bench: Bench, number: int, payload: bytes
) -> None:
    with bench.open() as partial, pytest.raises(ValueError):
        partial.write(number, payload)


def test_an_empty_artifact_is_complete_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, b"")
    with bench.open() as partial:
        assert partial.complete
        assert partial.bytes_done == 0
    assert bench.path.read_bytes() == b""
