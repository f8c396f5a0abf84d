"""Reports and telemetry over one link whose server admits little."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agent.journal.journal import SqliteJournal
from agent.journal.outbox import REPORTING, STREAMING, Kind, Message
from agent.telemetry.metrics import METRICS_PATH
from tests.agent.telemetry.conftest import Cloud
from tests.support.waiting import PATIENCE

DOCUMENTS = 10


@pytest.fixture
def rate_limit() -> float | None:
    return 4.0


def put(journal: SqliteJournal, kind: Kind, topic: str, document: object) -> None:
    journal.outbox.put(Message(kind, topic, json.dumps(document)), "2026-01-01T00:00:00Z")


async def test_4_29s_delay_telemetry_and_let_reports_through(
    cloud: Cloud, journal: SqliteJournal
) -> None:
    def put_documents(numbers: range) -> None:
        for number in numbers:
            put(journal, Kind.STREAM, METRICS_PATH, {"id": number, "filling": "x" * 1500})

    put_documents(range(2))
    # A session that believes it may send 20 a second gets one 4.29 after the other.
    session = cloud.session(requests_per_second=20)
    cloud.deliver(journal, session)
    await cloud.await_stream(("edgeferry", "metrics"), lambda found: found)
    put_documents(range(2, DOCUMENTS))
    put(journal, Kind.STATE, "edgeferry", {"state": "downloading"})
    put(journal, Kind.STATE, "edgeferry/worker", {"fps": 30})
    async with asyncio.timeout(2 * PATIENCE):
        while journal.outbox.next(REPORTING):  # noqa: ASYNC110 - another task delivers
            await asyncio.sleep(0.01)
        assert journal.outbox.next(STREAMING), "the telemetry of before waits still"
        documents: list[Any] = []
        while len(documents) < DOCUMENTS:
            documents = await cloud.stream("edgeferry", "metrics")
            await asyncio.sleep(0.2)
    assert [document["id"] for document in documents] == list(range(DOCUMENTS))
