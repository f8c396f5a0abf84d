"""What a device tells after weeks without a link, with the power going in the middle of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent.journal.journal import SqliteJournal
from agent.journal.outbox import Kind, Message, Outbox
from agent.telemetry.metrics import METRICS_PATH
from tests.agent.telemetry.conftest import JOURNAL, Cloud
from tests.support.waiting import until

DAYS, EACH_DAY = 21, 8
HOURS = DAYS * EACH_DAY
ROOM = 30
"""Documents that there is room for."""
DOWNLOADING, READY, CONNECTION_LOST = 1, 0, 4


def journal_of(folder: Path) -> SqliteJournal:
    size = len(document(0)) * ROOM
    return SqliteJournal(folder / JOURNAL, lambda *_: [], stream_bytes=size)


def document(hour: int) -> str:
    return json.dumps({"id": f"{hour:03}", "filling": "x" * 200})


def live_through(outbox: Outbox, hours: range) -> list[tuple[str, int]]:
    """An update that waits for its link, tries and waits again; what the reports say."""
    told = []
    for hour in hours:
        reason = (READY, CONNECTION_LOST)[hour % 2]
        report = {"state": DOWNLOADING, "reason": reason, "version": "1", "target": "2"}
        for kind, topic, body in (
            (Kind.REPORT, "ai-model", json.dumps(report)),
            (Kind.STATE, "edgeferry", json.dumps({"state": "downloading", "attempt": hour})),
            (Kind.STREAM, METRICS_PATH, document(hour)),
        ):
            outbox.put(Message(kind, topic, body), "2026-01-01T00:00:00Z")
        told.append(("DOWNLOADING", reason))
    return told


async def test_every_report_arrives_in_order_and_once_and_the_newest_of_the_rest(
    cloud: Cloud, tmp_path: Path
) -> None:
    operator = cloud.bench.operator
    cohort = await operator.cohort("cameras")
    await operator.join(cloud.device.id, cohort)
    await operator.deploy(cohort, (await operator.upload("ai-model", "2", b"model"))["id"])
    told = []
    for day in range(DAYS):
        # The agent starts anew every day.
        journal = journal_of(tmp_path)
        told += live_through(journal.outbox, range(day * EACH_DAY, (day + 1) * EACH_DAY))
        journal.close()

    async def events() -> list[tuple[str, int]]:
        found = await operator.events(deviceId=cloud.device.id, limit=str(HOURS + 10))
        return [(event["eventType"], event["status"]) for event in found[::-1]]

    for enough in (HOURS // 3, HOURS):
        journal = journal_of(tmp_path)
        cloud.deliver(journal, cloud.session())
        outbox = journal.outbox

        async def told_enough(outbox: Outbox = outbox, enough: int = enough) -> bool:
            return len(await events()) >= enough and (
                enough < HOURS or not outbox.next(tuple(Kind))
            )

        await until(told_enough)
        # The power goes: what was acknowledged last can't be noted any more.
        journal.close()
        await cloud.disconnect()
    assert await events() == told
    state = await operator.call("GET", f"{operator.project}/devices/{cloud.device.id}/data")
    assert state["data"]["edgeferry"]["attempt"] == HOURS - 1
    arrived: list[Any] = [found["id"] for found in await cloud.stream("edgeferry", "metrics")]
    newest = [f"{hour:03}" for hour in range(HOURS - ROOM, HOURS)]
    assert list(dict.fromkeys(arrived)) == newest
