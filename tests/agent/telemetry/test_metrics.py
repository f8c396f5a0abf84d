"""Metrics from a worker's counters to the operator's reads, on real DTLS."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agent.journal.journal import SqliteJournal
from agent.journal.outbox import STREAMING
from agent.telemetry.document import ReleaseName
from agent.telemetry.metrics import MetricsReporter
from agent.telemetry.pace import Pace
from agent.telemetry.vitals import vitals
from agent.worker_port.errors import WorkerProtocolError
from states.ports import Postponed
from states.reasons import Transient
from tests.agent.telemetry.conftest import JOURNAL, Cloud
from tests.support.bad_surroundings import no_new_descriptors
from tests.support.outbox import drained
from tests.support.waiting import within

METRICS = ("edgeferry", "metrics")


class CountingWorker:
    """Counts as many frames between two looks as told; time passes as told."""

    def __init__(self) -> None:
        self.instance, self.age_s = 1, 0.0
        self.away: Exception | None = None
        self.frames: Counter[str] = Counter()
        self.labels = 3

    def work(self, seconds: float, frames: int, release: str = "a") -> None:
        self.age_s += seconds
        self.frames[release] += frames

    def restart(self) -> None:
        self.instance, self.age_s, self.frames = self.instance + 1, 0.0, Counter()

    async def tallies(self) -> dict[str, Any]:
        if self.away:
            raise self.away
        told = [self._tally(serial, *counted) for serial, counted in enumerate(self.frames.items())]
        memory = {"resident_bytes": 5_000_000}
        return {"instance": str(self.instance), "age_s": self.age_s, "tallies": told, **memory}

    def _tally(self, serial: int, release: str, frames: int) -> dict[str, Any]:
        each, rest = divmod(frames, self.labels)
        classes = {f"a rather long label {n}": each for n in range(self.labels)}
        classes["a rather long label 0"] += rest
        return {
            "serial": serial,
            "release": release,
            "classified": frames,
            "dropped": 0,
            "errors": 0,
            "classes": classes,
            "confidence": {
                "sum": frames * 0.9,
                "sum_squares": frames * 0.81,
                "histogram": [0] * 9 + [frames],
            },
            "labelled": {"classified": 0, "correct": 0},
            "latency_ms": {"60": frames},
            "inference_ms": {"30": frames},
            "gap_ms": {"80": frames},
        }


def reporter(worker: CountingWorker, journal: SqliteJournal, tmp_path: Path) -> MetricsReporter:
    return MetricsReporter(
        worker,
        journal.measurements,
        Pace(60.0),
        name=lambda release: ReleaseName(release, f"version of {release}", 7),
        device=lambda: vitals(tmp_path),
    )


def queued(journal: SqliteJournal) -> list[Any]:
    return [json.loads(q.message.body) for q in drained(journal.outbox, STREAMING)]


async def test_without_a_free_descriptor_metrics_are_told_all_the_same(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    worker = CountingWorker()
    metrics = reporter(worker, journal, tmp_path)
    await metrics.look()
    worker.work(60.0, 1800)
    with no_new_descriptors(os.getpid()):
        await metrics.look()
    (document,) = queued(journal)
    assert document["classified"] == 1800
    assert document["device"]["memory_available_bytes"] is None


async def test_a_document_arrives_as_its_contract_has_it(
    cloud: Cloud, journal: SqliteJournal, tmp_path: Path
) -> None:
    worker = CountingWorker()
    worker.labels = 40
    metrics = reporter(worker, journal, tmp_path)
    await metrics.look()
    worker.work(60.0, 1800)
    await metrics.look()
    # Long enough to go in blocks.
    (body,) = drained(journal.outbox, STREAMING)
    assert len(body.message.body) > 1024
    journal.outbox.put(body.message, "now")
    cloud.deliver(journal, cloud.session())
    (document,) = await cloud.await_stream(METRICS, lambda found: found)
    assert document == json.loads(body.message.body)
    assert document["device"].pop("load1") >= 0
    assert {
        name: document[name]
        for name in ("format", "interval_s", "release", "version", "sequence", "classified")
    } == {
        "format": 1,
        "interval_s": 60.0,
        "release": "a",
        "version": "version of a",
        "sequence": 7,
        "classified": 1800,
    }
    assert len(document["classes"]) == 20
    assert sum(document["classes"].values()) + document["classes_other"] == 1800
    confidence = document["confidence"]
    assert (confidence["sum"], confidence["sum_squares"]) == (1620.0, 1458.0)
    assert document["latency_ms"]["p50"] == document["latency_ms"]["p95"] > 0
    assert document["drift"] is None
    assert document["device"]["worker_rss_bytes"] == 5_000_000
    assert document["device"]["disk_free_bytes"] > 0


async def test_days_offline_arrive_in_order_once_and_add_up_over_restarts(
    cloud: Cloud, journal: SqliteJournal, tmp_path: Path
) -> None:
    worker = CountingWorker()
    metrics = reporter(worker, journal, tmp_path)
    await metrics.look()
    total = 0
    hours = 3 * 24
    for hour in range(hours):
        release = "a" if hour < hours // 2 else "b"
        worker.work(3600.0, 1000 + hour, release)
        total += 1000 + hour
        if hour % 20 == 10:
            # The agent starts anew and finds what it told last in the journal.
            journal.close()
            journal = SqliteJournal(tmp_path / JOURNAL, lambda *_: [])
            metrics = reporter(worker, journal, tmp_path)
        await metrics.look()
        if hour % 30 == 15:
            worker.restart()
    cloud.deliver(journal, cloud.session())
    documents = await cloud.await_stream(METRICS, lambda found: len(found) >= hours)
    await cloud.disconnect()
    assert len({document["id"] for document in documents}) == len(documents) == hours
    assert [d["classified"] for d in documents] == [1000 + hour for hour in range(hours)]
    assert sum(d["classified"] for d in documents) == total
    assert [d["interval_s"] for d in documents] == [3600.0] * hours
    # The first hour of each release is its baseline; what follows is compared with it.
    assert [d["drift"] is None for d in documents] == [h in {0, hours // 2} for h in range(hours)]
    assert documents[1]["drift"]["baseline_frames"] == 1000
    assert all(d["drift"]["psi"] < 0.1 for d in documents if d["drift"])
    assert journal.outbox.next(STREAMING) is None


async def test_a_worker_that_is_away_or_odd_is_no_document_and_no_loss(
    journal: SqliteJournal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker = CountingWorker()
    metrics = reporter(worker, journal, tmp_path)
    worker.away = Postponed(Transient.WORKER_AWAY, "gone")
    await metrics.look()
    # It starts only after the agent: all it ever counts is told.
    worker.away = None
    worker.work(10.0, 30)
    await metrics.look()
    worker.away = WorkerProtocolError("an older worker")
    worker.work(60.0, 60)
    await metrics.look()
    await metrics.look()
    assert caplog.text.count("an older worker") == 1
    worker.away = None
    await metrics.look()
    told = queued(journal)
    assert [(d["classified"], d["interval_s"]) for d in told] == [(30, 10.0), (60, 60.0)]


async def test_what_happens_while_metrics_are_off_is_not_told_later(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    worker = CountingWorker()
    metrics = reporter(worker, journal, tmp_path)
    await metrics.look()
    metrics._be_silent()
    worker.work(3600.0, 99)
    await metrics.look()
    worker.work(60.0, 5)
    await reporter(worker, journal, tmp_path).look()
    assert [d["classified"] for d in queued(journal)] == [5]


async def test_what_a_full_disk_refuses_is_in_the_next_interval(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    worker = CountingWorker()
    metrics = reporter(worker, journal, tmp_path)
    await metrics.look()
    worker.work(60.0, 10)
    worker.labels = 2000
    (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    await metrics.look()
    journal._db.execute("PRAGMA max_page_count = 1000000")
    worker.work(60.0, 20)
    await metrics.look()
    assert [(d["classified"], d["interval_s"]) for d in queued(journal)] == [(30, 120.0)]


async def test_the_pace_may_change_at_any_moment() -> None:
    pace = Pace(3600.0)
    waiting = asyncio.create_task(pace.wait())
    await asyncio.sleep(0)
    pace.change(0.0)
    await within(waiting)
    # While nobody waits, as during a look.
    pace.change(3600.0)
    await within(pace.wait())
    pace.change(0.01)
    await pace.wait()
    await within(pace.wait())
