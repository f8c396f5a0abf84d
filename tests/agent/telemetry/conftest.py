"""A local cloud on real DTLS, and a device's outbox emptied into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.cloud.delivery import REPORTS, TELEMETRY, Delivery
from agent.journal.journal import SqliteJournal
from localcloud.cloud import LocalCloud
from localcloud.settings import CloudSettings
from protocol.session import DeviceSession, SessionSettings
from tests.support.cloud import Bench, TestDevice
from tests.support.waiting import until

JOURNAL = "state.db"


@dataclass
class Cloud:
    """A cloud and its operator's reads of the stream."""

    bench: Bench
    device: TestDevice
    sessions: list[asyncio.Task[None]] = field(default_factory=list)

    def session(self, requests_per_second: float | None = None) -> DeviceSession:
        """A session of the device, connecting from now on."""
        session = DeviceSession(
            *self.bench.cloud.coap_address,
            lambda: self.device.credential,
            settings=SessionSettings(requests_per_second=requests_per_second),
            on_manifest=lambda _: None,
            on_connection=lambda *_: None,
        )
        self.sessions.append(asyncio.create_task(session.run()))
        return session

    def deliver(self, journal: SqliteJournal, session: DeviceSession) -> list[asyncio.Task[None]]:
        """Empty an outbox as the agent does."""
        parts = [Delivery(journal.outbox, session, urgency) for urgency in (REPORTS, TELEMETRY)]
        tasks = [asyncio.create_task(part.run()) for part in parts]
        self.sessions += tasks
        return tasks

    async def stream(self, *path: str) -> list[Any]:
        """All that came at a path, the oldest first."""
        operator = self.bench.operator
        found: list[Any] = []
        while True:
            query = f"stream?interval=1h&perPage=100&page={len(found) // 100}"
            page = await operator.call(
                "GET", f"{operator.project}/devices/{self.device.id}/{query}"
            )
            found += [entry["data"] for entry in page["list"]]
            if len(found) >= page["total"]:
                break
        for name in path:
            found = [data[name] for data in found if name in data]
        return found[::-1]

    async def await_stream(self, path: tuple[str, ...], enough: Callable[[list[Any]], Any]) -> Any:
        """Read until it is enough."""

        async def look() -> list[Any]:
            entries = await self.stream(*path)
            return entries if enough(entries) else []

        return await until(look)

    async def disconnect(self) -> None:
        """End everything the device runs."""
        for task in self.sessions:
            task.cancel()
        await asyncio.gather(*self.sessions, return_exceptions=True)
        self.sessions.clear()


@pytest.fixture
def rate_limit() -> float | None:
    """Requests per second the cloud admits; None for any number."""
    return None


@pytest.fixture
async def cloud(tmp_path: Path, rate_limit: float | None) -> AsyncIterator[Cloud]:
    settings = CloudSettings(coap_port=0, http_port=0, rate_limit=rate_limit)
    async with LocalCloud(tmp_path / "cloud", settings) as local, AsyncExitStack() as links:
        bench = Bench(local, links)
        cloud = Cloud(bench, await bench.operator.device("camera-1"))
        yield cloud
        await cloud.disconnect()


@pytest.fixture
def journal(tmp_path: Path) -> SqliteJournal:
    return SqliteJournal(tmp_path / JOURNAL, lambda *_: [])
