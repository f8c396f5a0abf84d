"""An upgrade that changed the tables, and the way back from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from agent.journal import schema
from agent.journal.schema import JournalError, open_journal
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


class Versions:
    """Lets this process be the agent of a later release, and the present one again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, later: Migrations) -> None:
        self._monkeypatch = monkeypatch
        self._later = later

    def upgrade(self) -> None:
        self._monkeypatch.setattr(schema, "migrations", self._later)

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
