"""The journal on a disk that is full, fails for a moment, or gave back other bytes than it took."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlite_utils import Database

from agent.journal import opening
from agent.journal.connection import JournalConnection, JournalDamaged
from agent.journal.journal import SqliteJournal
from agent.journal.opening import JournalError
from agent.journal.outbox import Kind, Message
from agent.journal.uploads import Sent, Spent
from states.ports import Postponed
from states.reasons import Transient

LONG = "x" * 50_000


def silent(*_: object) -> tuple[Message, ...]:
    return ()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "UNREADABLE_PAUSES", (0.0, 0.0))


WRITES: dict[str, Callable[[SqliteJournal], None]] = {
    "fact": lambda journal: journal.note_fact("anything", LONG),
    "outbox": lambda journal: journal.outbox.put(Message(Kind.STREAM, "path", LONG), "now"),
    "evidence": lambda journal: journal.note_evidence(1, "trial", {"long": LONG}),
    "measurements": lambda journal: journal.measurements.keep(LONG),
    "uploads": lambda journal: journal.uploads.acknowledge(Sent(LONG, LONG, 2), Spent("today")),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_whatever_is_written_to_a_full_disk_is_postponed(
    path: Path, write: Callable[[SqliteJournal], None]
) -> None:
    journal = SqliteJournal(path, silent)
    (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Postponed) as caught:
        write(journal)
    assert caught.value.reason is Transient.DISK_FULL
    assert not journal._db.conn.in_transaction
    journal._db.execute("PRAGMA max_page_count = 100000")
    write(journal)


def test_a_defect_of_ours_is_no_trouble_with_the_disk(path: Path) -> None:
    connection = JournalConnection(path)
    connection.execute("CREATE TABLE one (id INTEGER PRIMARY KEY) STRICT")
    connection.execute("INSERT INTO one VALUES (1)")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO one VALUES (1)")


def test_damage_that_is_met_while_it_is_open_ends_the_agent_and_not_the_next_one(
    path: Path,
) -> None:
    journal = SqliteJournal(path, silent)
    for number in range(200):
        journal.note_fact(f"fact {number}", "x" * 500)
    journal.close()
    journal = SqliteJournal(path, silent)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(1024)
        file.write(os.urandom(size - 1024))
    journal._db.execute("PRAGMA shrink_memory")  # SQLite forgets what it has read
    with pytest.raises(JournalDamaged, match="next start puts it aside"):
        journal.note_fact("fact 1", "another")
    journal.close()
    assert SqliteJournal(path, silent).fact("fact 1") is None


def test_only_the_newest_damaged_journal_is_kept(path: Path) -> None:
    for _ in range(3):
        SqliteJournal(path, silent).close()
        path.write_bytes(os.urandom(8192))
    SqliteJournal(path, silent).close()
    assert len(list(path.parent.glob("state.db.damaged-*"))) == 1


class BadSector:
    """What SQLite and Python say of a journal with an unreadable sector, so many times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.left = times
        self._check = opening._check
        monkeypatch.setattr(opening, "_check", self)
        monkeypatch.setattr(Path, "read_bytes", self._refuse)

    def __call__(self, db: Database) -> None:
        if self.left:
            self.left -= 1
            assert isinstance(db.conn, JournalConnection)
            with db.conn.errors():
                raise sqlite3.DatabaseError("database disk image is malformed")
        self._check(db)

    def _refuse(self) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_disk_that_fails_for_a_moment_costs_nothing_that_was_known(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(path, silent)
    journal.note_fact("known", "before")
    journal.close()
    BadSector(monkeypatch, times=2)
    assert SqliteJournal(path, silent).fact("known") == "before"
    assert not list(path.parent.glob("*damaged*"))


def test_what_stays_unreadable_is_put_aside(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = SqliteJournal(path, silent)
    journal.note_fact("known", "before")
    journal.close()
    BadSector(monkeypatch, times=3)
    assert SqliteJournal(path, silent).fact("known") is None
    assert len(list(path.parent.glob("state.db.damaged-*"))) == 1


def test_a_journal_that_cannot_be_opened_names_the_file_and_the_next_step(path: Path) -> None:
    path.mkdir()
    with pytest.raises(JournalError, match=r"state\.db.*free space"):
        SqliteJournal(path, silent)
