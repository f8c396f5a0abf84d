"""The journal on real SQLite files: what is committed is there, whole, after anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.journal.boot_clock import BootClock
from agent.journal.journal import Fetched, SqliteJournal
from agent.journal.opening import JournalError, open_for_reading
from agent.journal.outbox import Kind, Message
from agent.journal.rows import as_row, as_update
from states.model import Companion, Deployment, Package, Release
from states.ports import Postponed
from states.reasons import Rejection, Transient
from states.update import Outcome, Transition, Update
from tests.support.outbox import drained

PACKAGE = Package("ai-model", "1", "a" * 64, 1000, "/.u/c/ai-model@1")
UPDATE = Update(1, Deployment(7, Release((PACKAGE,))), fallback="f" * 16)


def silent(_transition: Transition, _at: str) -> list[Message]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def step(event: str, source: str, target: str, update: Update = UPDATE) -> Transition:
    return Transition(event, source, target, update, detail=update.detail)


def test_a_new_journal_is_idle(path: Path) -> None:
    stored = SqliteJournal(path, silent).load()
    assert (stored.state, stored.update, stored.elapsed) == ("idle", None, None)


def test_a_committed_transition_is_there_after_a_restart(path: Path) -> None:
    journal = SqliteJournal(path, silent)
    journal.commit(step("download", "manifest-received", "downloading"))
    journal.close()
    stored = SqliteJournal(path, silent).load()
    assert (stored.state, stored.update) == ("downloading", UPDATE)


def test_time_in_a_state_is_known_within_one_boot_only(path: Path) -> None:
    now = [100.0]
    journal = SqliteJournal(path, silent, BootClock("one", lambda: now[0]))
    journal.commit(step("download", "manifest-received", "downloading"))
    now[0] = 130.0
    assert journal.load().elapsed == 30.0
    journal.close()
    assert SqliteJournal(path, silent, BootClock("two", lambda: 3.0)).load().elapsed is None


def test_rejected_content_is_remembered_and_superseded_content_is_not(path: Path) -> None:
    journal = SqliteJournal(path, silent)
    refused = replace(UPDATE, reason=Rejection.HASH_MISMATCH, outcome=Outcome.REJECTED)
    journal.commit(step("postpone", "downloading", "awaiting-retry", UPDATE))
    waiting = replace(UPDATE, reason=Transient.LINK_LOST, outcome=Outcome.SUPERSEDED)
    journal.commit(step("cancel", "awaiting-retry", "reporting", waiting))
    assert not journal.is_rejected(UPDATE.release_id)
    journal.commit(step("reject", "downloading", "reporting", refused))
    assert journal.is_rejected(UPDATE.release_id)


def test_confirmed_releases_come_newest_first_and_once(path: Path) -> None:
    journal = SqliteJournal(path, silent)
    updates = [
        replace(UPDATE, id=n, deployment=Deployment(n, Release((replace(PACKAGE, version=v),))))
        for n, v in enumerate(["1", "2", "1"], start=1)
    ]
    for update in updates:
        journal.commit(step("confirm", "confirming", "reporting", update))
    assert journal.confirmed_releases() == (updates[0].release_id, updates[1].release_id)


def test_messages_go_out_with_their_transition_or_not_at_all(path: Path) -> None:
    def announce(transition: Transition, _at: str) -> list[Message]:
        if transition.event == "accept":
            raise RuntimeError("made up")
        return [Message(Kind.REPORT, "ai-model", f'"{transition.event}"')]

    journal = SqliteJournal(path, announce)
    journal.commit(step("download", "manifest-received", "downloading"))
    with pytest.raises(RuntimeError):
        journal.commit(step("accept", "verifying", "activating"))
    assert journal.load().state == "downloading"
    assert [queued.message.body for queued in drained(journal.outbox)] == ['"download"']


def test_what_an_update_cost_adds_up(path: Path) -> None:
    journal = SqliteJournal(path, silent)
    for _ in range(3):
        journal.add_fetched(1, Fetched(1000, 2, 1))
    journal.add_fetched(2, Fetched(5, 1, 0))
    rows = journal._db.execute("SELECT * FROM costs ORDER BY update_id").fetchall()
    assert rows == [(1, 3000, 6, 3), (2, 5, 1, 0)]


def test_only_the_newest_evidence_of_a_kind_is_kept_with_its_update(path: Path) -> None:
    journal = SqliteJournal(path, silent)
    assert journal.evidence(1, "window") is None
    for restarts in (0, 1):
        journal.note_evidence(1, "window", {"restarts": restarts})
    journal.note_evidence(1, "swap", {"gap_ms": 1.5})
    journal.note_evidence(2, "window", {"restarts": 9})
    assert journal.evidence(1, "window") == {"restarts": 1}
    journal.close()
    rows = open_for_reading(path).query("SELECT update_id, kind, document FROM evidence")
    kept = [(row["update_id"], row["kind"], json.loads(row["document"])) for row in rows]
    assert kept == [
        (1, "window", {"restarts": 1}),
        (1, "swap", {"gap_ms": 1.5}),
        (2, "window", {"restarts": 9}),
    ]


def test_a_release_that_was_left_is_rejected_until_an_operator_clears_it(path: Path) -> None:
    journal = SqliteJournal(path, silent)
    left = replace(UPDATE, reason=Rejection.OPERATOR_ROLLBACK, outcome=Outcome.ROLLED_BACK)
    journal.commit(step("demote", "idle", "rolling-back", left))
    assert journal.rejected_releases() == (UPDATE.release_id,)
    assert journal.sequence_of(UPDATE.release_id) == 7
    journal.clear_rejection(UPDATE.release_id)
    assert not journal.is_rejected(UPDATE.release_id)
    assert journal.sequence_of("unknown") == 0


def test_a_refused_signature_is_no_refusal_of_what_it_signs(path: Path) -> None:
    journal = SqliteJournal(path, silent)
    bad, good = (
        replace(UPDATE.deployment, signature=Package("release-signature", n, n * 64, 900, "/x"))
        for n in "12"
    )
    refused = replace(UPDATE, deployment=bad, reason=Rejection.SIGNATURE_BAD)
    journal.commit(step("reject", "manifest-received", "reporting", refused))
    stored = journal.load().update
    assert stored is not None
    assert stored.deployment.signature == bad.signature
    assert [journal.is_refused(each) for each in (bad, good)] == [True, False]
    assert not journal.is_rejected(UPDATE.release_id)
    assert journal.rejected_releases() == (UPDATE.release_id,)
    journal.note_trust(replace(journal.trust(), release=UPDATE.release_id, signature="2" * 64))
    assert not journal.is_refused(bad)


def test_rejections_from_before_signatures_are_of_the_content(path: Path) -> None:
    journal = SqliteJournal(path, silent)
    db = journal._db
    db.execute("DELETE FROM _sqlite_migrations WHERE name = 'signatures_of_releases'")
    db.execute("ALTER TABLE updates DROP COLUMN signature")
    db.execute("DROP TABLE rejections")
    db.execute("CREATE TABLE rejections (release_id, reason, detail, at)")
    db.execute("INSERT INTO rejections VALUES (?, 'deadline', 'late', 'then')", ["r" * 16])
    journal.close()
    journal = SqliteJournal(path, silent)
    assert journal.is_rejected("r" * 16)
    assert journal.rejected_releases() == ("r" * 16,)


def test_old_history_is_forgotten_and_what_was_learnt_is_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.journal.journal.KEPT_TRANSITIONS", 5)
    monkeypatch.setattr("agent.journal.journal.KEPT_UPDATES", 2)
    journal = SqliteJournal(path, silent)
    for number in range(1, 7):
        package = replace(PACKAGE, version=str(number))
        update = replace(UPDATE, id=number, deployment=Deployment(number, Release((package,))))
        journal.commit(step("confirm", "confirming", "reporting", update))
        journal.commit(step("reported", "reporting", "idle", update))
    counts = {
        table: journal._db.table(table).count
        for table in ("transitions", "updates", "confirmations")
    }
    assert counts == {"transitions": 5, "updates": 2, "confirmations": 6}
    assert journal.next_update_id() == 7


def test_a_full_disk_postpones_instead_of_losing_the_step(path: Path) -> None:
    journal = SqliteJournal(path, silent)
    journal.commit(step("download", "manifest-received", "downloading"))
    (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count = {pages}")

    def fill() -> None:
        for _ in range(1000):
            journal.commit(step("download", "manifest-received", "downloading"))

    with pytest.raises(Postponed) as caught:
        fill()
    assert caught.value.reason is Transient.DISK_FULL
    journal._db.execute("PRAGMA max_page_count = 100000")
    journal.commit(step("downloaded", "downloading", "verifying"))
    assert journal.load().state == "verifying"


def test_a_damaged_journal_is_put_aside_and_begun_anew(path: Path) -> None:
    journal = SqliteJournal(path, silent)
    journal.commit(step("download", "manifest-received", "downloading"))
    journal.close()
    path.write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    assert SqliteJournal(path, silent).load().state == "idle"
    assert len(list(path.parent.glob("state.db.damaged-*"))) == 1


def test_a_journal_of_a_newer_agent_is_refused_untouched(path: Path) -> None:
    journal = SqliteJournal(path, silent)
    journal._db.table("_sqlite_migrations").insert(
        {"migration_set": "edgeferry", "name": "from_the_future", "applied_at": "later"}
    )
    journal.close()
    with pytest.raises(JournalError, match=r"newer agent.*from_the_future"):
        SqliteJournal(path, silent)


def test_companions_of_an_update_are_there_after_a_restart(path: Path) -> None:
    patch = Package("ai-model-delta", "f" * 16, "b" * 64, 50, "/.u/c/ai-model-delta@patch")
    deployment = replace(UPDATE.deployment, companions=(Companion("ai-model", "f" * 8, patch),))
    journal = SqliteJournal(path, silent)
    update = replace(UPDATE, deployment=deployment)
    journal.commit(step("download", "manifest-received", "downloading", update))
    journal.close()
    stored = SqliteJournal(path, silent).load().update
    assert stored == update
    assert stored.deployment.companions[0].patch.uri == patch.uri


def test_a_journal_from_before_companions_is_brought_up_to_date(path: Path) -> None:
    journal = SqliteJournal(path, silent)
    journal.commit(step("download", "manifest-received", "downloading"))
    journal._db.execute("ALTER TABLE updates DROP COLUMN companions")
    journal._db.execute("DELETE FROM _sqlite_migrations WHERE name = 'companions_of_updates'")
    journal.close()
    assert SqliteJournal(path, silent).load().update == UPDATE


def test_reading_needs_no_agent_and_writes_nothing(path: Path) -> None:
    with pytest.raises(JournalError, match="has not run yet"):
        open_for_reading(path)
    SqliteJournal(path, silent).close()
    with (
        closing(open_for_reading(path)) as journal,
        pytest.raises(Postponed, match="readonly"),
    ):
        journal.execute("DELETE FROM machine")


KILLED_WRITER = """
import sys
from pathlib import Path
from agent.journal.journal import SqliteJournal
from agent.journal.outbox import Kind, Message
from states.update import Transition
journal = SqliteJournal(Path(sys.argv[1]), lambda t, at: [Message(Kind.REPORT, "p", t.event)])
number = 0
while True:
    number += 1
    journal.commit(Transition(str(number), "downloading", f"state-{number}", None))
    print(number, flush=True)
"""


def test_sigkill_between_writes_leaves_state_step_and_report_together(path: Path) -> None:
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", KILLED_WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(20)][-1]
        writer.send_signal(signal.SIGKILL)
        rest = writer.communicate()[0].split()
        last_told = int(rest[-1] if rest else told)
        db = open_for_reading(path)
        (state,) = db.execute("SELECT state FROM machine").fetchone()
        (event,) = db.execute("SELECT event FROM transitions ORDER BY id DESC").fetchone()
        (report,) = db.execute("SELECT body FROM outbox ORDER BY id DESC").fetchone()
        assert state == f"state-{event}"
        assert report == event
        assert int(event) >= last_told
        db.close()


@given(
    st.builds(
        Update,
        id=st.integers(1, 2**31),
        deployment=st.just(UPDATE.deployment),
        fallback=st.none() | st.text(),
        attempts=st.integers(0, 1000),
        retry_delay=st.floats(0, 1e6),
        outcome=st.none() | st.sampled_from(Outcome),
        reason=st.none() | st.sampled_from(Rejection) | st.sampled_from(Transient),
        detail=st.text(),
    )
)
def test_an_update_survives_its_row(update: Update) -> None:
    assert as_update(as_row(update)) == update
