"""What waits for the cloud: what is kept, in what order, and what may be lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.journal.journal import SqliteJournal
from agent.journal.outbox import (
    REPORTING,
    STREAMING,
    Kind,
    Message,
    Outbox,
    Waiting,
    waiting,
)
from tests.support.outbox import drained

STREAM_BYTES = 100


@pytest.fixture
def journal(tmp_path: Path) -> SqliteJournal:
    return SqliteJournal(tmp_path / "state.db", lambda *_: [], stream_bytes=STREAM_BYTES)


@pytest.fixture
def outbox(journal: SqliteJournal) -> Outbox:
    return journal.outbox


def put(outbox: Outbox, kind: Kind, *bodies: str, topic: str = "a") -> None:
    for body in bodies:
        outbox.put(Message(kind, topic, body), "2026-01-01T00:00:00Z")


def bodies(outbox: Outbox, *kinds: Kind) -> list[str]:
    return [queued.message.body for queued in drained(outbox, kinds or tuple(Kind))]


def test_only_the_newest_state_of_a_topic_is_kept_and_every_report(outbox: Outbox) -> None:
    for number in ("1", "2", "2", "3"):
        put(outbox, Kind.STATE, f"state {number}")
        put(outbox, Kind.REPORT, f"report {number}")
    assert bodies(outbox) == ["report 1", "report 2", "state 3", "report 3"]


def test_a_newer_state_survives_that_the_older_one_is_acknowledged_late(outbox: Outbox) -> None:
    put(outbox, Kind.STATE, "old")
    under_way = outbox.next(REPORTING)
    assert under_way is not None
    put(outbox, Kind.STATE, "new")
    outbox.delivered([under_way])
    assert bodies(outbox) == ["new"]


def test_repeated_stream_messages_all_count(outbox: Outbox) -> None:
    put(outbox, Kind.STREAM, "same", "same")
    assert bodies(outbox) == ["same", "same"]


def test_too_much_telemetry_costs_the_oldest_telemetry_and_nothing_else(
    outbox: Outbox, journal: SqliteJournal
) -> None:
    put(outbox, Kind.REPORT, "report")
    put(outbox, Kind.STATE, "state")
    put(outbox, Kind.STREAM, *(f"{number:020d}" for number in range(50)))
    assert waiting(journal._db, Kind.STREAM) == Waiting(5, 100, "2026-01-01T00:00:00Z")
    assert bodies(outbox, *REPORTING) == ["report", "state"]
    assert [int(body) for body in bodies(outbox, *STREAMING)] == [45, 46, 47, 48, 49]
    assert waiting(journal._db, Kind.STREAM) == Waiting(0, 0, None)


def test_what_was_sent_but_not_noted_yet_is_passed_over(outbox: Outbox) -> None:
    put(outbox, Kind.STREAM, "1", "2")
    first = outbox.next(STREAMING)
    assert first is not None
    second = outbox.next(STREAMING, after=first.id)
    assert second is not None
    assert second.message.body == "2"
    outbox.delivered([first, second])
    put(outbox, Kind.STREAM, "3")
    assert bodies(outbox) == ["3"]
