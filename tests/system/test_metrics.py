"""Metrics of a real device whose agent is killed: its intervals add up to its counters."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from agent.journal.opening import open_journal
from agent.journal.outbox import STREAMING, Outbox
from agent.telemetry.counts import Look
from demo.stage import Document, await_that
from tests.support.outbox import drained
from tests.support.waiting import PATIENCE
from tests.system.conftest import Bench

pytestmark = pytest.mark.system

METRICS = ("edgeferry", "metrics")


def await_documents(bench: Bench, count: int) -> None:
    await_that(
        f"{count} documents",
        lambda: len(bench.streamed(*METRICS)) >= count,
        PATIENCE,
        bench.device.log_tail,
    )


def test_nothing_is_lost_or_doubled_when_the_agent_is_killed(bench: Bench) -> None:
    bench.device.start("worker")
    agent = bench.device.start("run")
    bench.device.await_status("connected", lambda s: s["connected"], PATIENCE)
    bench.deploy("1")
    await_documents(bench, 2)
    agent.kill()
    told = len(bench.streamed(*METRICS))
    agent = bench.device.start("run")
    await_documents(bench, told + 2)
    agent.stop()

    with closing(open_journal(bench.device.state_dir / "state.db")) as db:
        fact = db.execute("SELECT value FROM facts WHERE name = 'metrics.look'").fetchone()
        waiting: list[Document] = [
            json.loads(queued.message.body) for queued in drained(Outbox(db), STREAMING)
        ]
    documents = {document["id"]: document for document in [*bench.streamed(*METRICS), *waiting]}
    counted = Look.model_validate_json(fact[0])
    for name in ("classified", "dropped", "errors"):
        expected = sum(getattr(tally, name) for tally in counted.tallies)
        assert sum(document[name] for document in documents.values()) == expected
    assert sum(tally.classified for tally in counted.tallies) > 0
