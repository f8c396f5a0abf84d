"""An upgrade that changed the tables, and the way back from it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from agent.journal import opening, schema
from agent.journal.opening import JournalError, open_journal
from agent.journal.way_back import copy_before


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def note(path: Path, value: str) -> None:
    db = open_journal(path)
    db.table("facts").insert({"name": "note", "value": value, "at": ""}, pk="name", replace=True)
    db.close()


def noted(path: Path) -> str:
    db = open_journal(path)
    value = db.execute("SELECT value FROM facts WHERE name = 'note'").fetchone()[0]
    db.close()
    return str(value)


def columns_of_updates(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        return {name for _, name, *_ in db.execute("PRAGMA table_info(updates)")}


class Versions:
    """Lets this process be the agent of a later release, and the present one again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, later: Migrations) -> None:
        self._monkeypatch = monkeypatch
        self._later = later

    def upgrade(self) -> None:
        self._monkeypatch.setattr(opening, "migrations", self._later)

    def undo(self) -> None:
        self._monkeypatch.undo()


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> Versions:
    later = Migrations("edgeferry")
    later._migrations = list(schema.migrations._migrations)

    @later()
    def mood_of_updates(db: Database) -> None:
        db.execute("ALTER TABLE updates ADD COLUMN mood TEXT")

    @later()
    def colour_of_updates(db: Database) -> None:
        db.execute("ALTER TABLE updates ADD COLUMN colour TEXT")

    return Versions(monkeypatch, later)


def test_before_tables_change_a_copy_is_kept(path: Path, versions: Versions) -> None:
    note(path, "old")
    versions.upgrade()
    note(path, "new")
    assert noted(path) == "new"
    copy = copy_before("mood_of_updates", path)
    assert copy.stat().st_mode & 0o777 == 0o640
    versions.undo()
    assert noted(copy) == "old"


def test_the_agent_before_goes_on_with_the_copy(path: Path, versions: Versions) -> None:
    note(path, "old")
    versions.upgrade()
    note(path, "new")
    versions.undo()
    assert noted(path) == "old"
    assert path.with_name("state.db.newer").exists()
    versions.upgrade()
    assert noted(path) == "old"
    versions.undo()
    assert noted(path) == "old"


def test_power_lost_on_the_way_back_costs_nothing(
    path: Path, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(path, "old")
    versions.upgrade()
    note(path, "new")
    versions.undo()
    copy, rename = copy_before("mood_of_updates", path), Path.rename

    def power_is_lost(source: Path, target: Path) -> Path:
        if source == copy:
            raise KeyboardInterrupt
        return rename(source, target)

    with monkeypatch.context() as now:
        now.setattr(Path, "rename", power_is_lost)
        with pytest.raises(KeyboardInterrupt):
            open_journal(path)
    assert noted(path) == "old"


def test_a_copy_is_on_the_disk_before_the_tables_change(
    path: Path, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(path, "old")
    synced: list[str] = []
    sync = os.fsync

    def noted_sync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append(name if name != path.parent.name else "its folder")
        assert "mood" not in columns_of_updates(path)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted_sync)
    versions.upgrade()
    open_journal(path).close()
    assert synced == [".tmp-state.db.before-mood_of_updates", "its folder"]
    assert "mood" in columns_of_updates(path)


def test_a_damaged_copy_is_put_aside_like_any_journal(path: Path, versions: Versions) -> None:
    note(path, "old")
    versions.upgrade()
    note(path, "new")
    versions.undo()
    copy_before("mood_of_updates", path).write_bytes(b"torn" * 1000)
    open_journal(path).close()
    assert list(path.parent.glob("state.db.damaged-*"))


def test_without_a_copy_nothing_is_touched(path: Path, versions: Versions) -> None:
    versions.upgrade()
    note(path, "new")
    versions.undo()
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"newer agent.*mood_of_updates"):
        open_journal(path)
    assert path.read_bytes() == before


def test_a_new_journal_needs_no_copy(path: Path) -> None:
    open_journal(path).close()
    assert [file.name for file in path.parent.iterdir()] == ["state.db"]
