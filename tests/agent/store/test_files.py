"""The thin layer under every durable file operation, on real files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.store.files import TEMPORARY, Files, OpenFile, postponed
from states.ports import Postponed
from states.reasons import Transient


class Recorder(Files):
    """Real files; every single step is noted as well."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []

    def create(self, path: Path, mode: int = 0o644) -> OpenFile:
        self.steps.append(("create", path.name))
        return super().create(path, mode)

    def write_at(self, file: OpenFile, offset: int, data: bytes) -> None:
        self.steps.append(("write", file.path.name))
        super().write_at(file, offset, data)

    def sync(self, file: OpenFile) -> None:
        self.steps.append(("sync", file.path.name))
        super().sync(file)

    def sync_folder(self, path: Path) -> None:
        self.steps.append(("sync-folder", path.name))
        super().sync_folder(path)

    def rename(self, source: Path, target: Path) -> None:
        self.steps.append(("rename", target.name))
        super().rename(source, target)

    def symlink(self, link: Path, target: str) -> None:
        self.steps.append(("symlink", link.name))
        super().symlink(link, target)


def test_content_is_synced_before_its_name_and_the_name_before_return(tmp_path: Path) -> None:
    files = Recorder()
    folder = tmp_path / "folder"
    files.make_folder(folder)
    files.steps.clear()

    files.write_replacing(folder / "version.txt", b"1\n")

    temporary = TEMPORARY + "version.txt"
    assert files.steps == [
        ("create", temporary),
        ("write", temporary),
        ("sync", temporary),
        ("rename", "version.txt"),
        ("sync-folder", "folder"),
    ]
    assert (folder / "version.txt").read_bytes() == b"1\n"


def test_a_move_syncs_both_folders_the_gaining_one_first(tmp_path: Path) -> None:
    files = Recorder()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "file").write_text("x")

    files.move(tmp_path / "a" / "file", tmp_path / "b" / "file")

    assert files.steps == [("rename", "file"), ("sync-folder", "b"), ("sync-folder", "a")]


def test_a_link_is_replaced_under_readers_without_ever_being_absent(tmp_path: Path) -> None:
    files = Recorder()
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "current"
    files.point(link, "one")
    files.steps.clear()

    files.point(link, "two")

    assert link.read_text() == "two"
    # The final name is only ever touched by rename.
    assert [what for what, name in files.steps if name == "current"] == ["rename"]


def test_a_link_that_is_right_is_synced_again_but_not_touched(tmp_path: Path) -> None:
    files = Recorder()
    files.point(tmp_path / "current", "one")
    files.steps.clear()

    files.point(tmp_path / "current", "one")

    assert files.steps == [("sync-folder", tmp_path.name)]


def test_leftovers_of_a_power_cut_do_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / (TEMPORARY + "current")).symlink_to("nowhere")
    (tmp_path / (TEMPORARY + "version.txt")).write_text("half")
    files = Files()

    files.point(tmp_path / "current", "one")
    files.write_replacing(tmp_path / "version.txt", b"whole")

    assert str((tmp_path / "current").readlink()) == "one"
    assert (tmp_path / "version.txt").read_text() == "whole"


def test_leftovers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    folder = tmp_path / "folder"
    (folder / (TEMPORARY + "release") / "deep").mkdir(parents=True)
    (folder / (TEMPORARY + "release") / "deep" / "link").symlink_to(outside)
    (folder / "kept").write_text("x")

    Files().remove_leftovers(folder)

    assert [path.name for path in folder.iterdir()] == ["kept"]
    assert (outside / "precious").exists()


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    Files().remove(tmp_path / "absent")
    Files().remove_tree(tmp_path / "absent")


def test_a_file_is_never_created_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(Postponed):
        Files().write_new(tmp_path / "link", b"x")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, Transient.DISK_FULL),
        (errno.EDQUOT, Transient.DISK_FULL),
        (errno.EIO, Transient.STORAGE_ERROR),
        (errno.EROFS, Transient.STORAGE_ERROR),
        (errno.EACCES, Transient.STORAGE_ERROR),
    ],
)
def test_errors_of_the_system_say_what_they_mean_and_where(number: int, reason: Transient) -> None:
    outcome = postponed(OSError(number, os.strerror(number)), Path("/somewhere/file"))
    assert outcome.reason is reason
    assert "/somewhere/file" in outcome.detail
    assert os.strerror(number) in outcome.detail


def test_every_operation_reports_a_missing_folder_as_a_storage_error(tmp_path: Path) -> None:
    files, absent = Files(), tmp_path / "absent" / "file"
    operations: list[Callable[[], object]] = [
        lambda: files.write_new(absent, b"x"),
        lambda: files.write_replacing(absent, b"x"),
        lambda: files.open(absent, writing=True),
        lambda: files.move(absent, tmp_path / "file"),
        lambda: files.point(absent, "x"),
        lambda: files.remove(absent),
        lambda: files.sync_folder(absent),
        lambda: files.set_mode(absent, 0o600),
        lambda: files.remove_leftovers(absent),
    ]
    for operation in operations:
        with pytest.raises(Postponed) as raised:
            operation()
        assert raised.value.reason is Transient.STORAGE_ERROR


def test_a_full_device_is_reported_as_a_full_disk() -> None:
    files = Files()
    full = files.open(Path("/dev/full"), writing=True)
    try:
        with pytest.raises(Postponed) as raised:
            files.write_at(full, 0, b"x")
    finally:
        files.close(full)
    assert raised.value.reason is Transient.DISK_FULL
