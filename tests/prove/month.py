"""A month of one device in a minute: an event loop whose time jumps from one wait to the next.

Real are the law, store, journal, downloader, outbox and its deliveries, metrics and worker reports,
and their waits, which go by the loop's time. Made up are the link, the server, the models and the
camera. The device is offline every night and for one week, changes over between one and five in the
morning only, and is sent a release every eight hours, of which some are bad.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from agent.cloud.delivery import REPORTS, TELEMETRY, Delivery
from agent.gate import FileGate
from agent.journal.boot_clock import BootClock
from agent.journal.journal import KEPT_TRANSITIONS, KEPT_UPDATES, Announce, SqliteJournal
from agent.journal.outbox import Kind, waiting
from agent.telemetry.document import ReleaseName
from agent.telemetry.metrics import MetricsReporter
from agent.telemetry.pace import Pace
from protocol.errors import LinkLost
from states.gates import Gates, TimeWindow
from states.policy import Policy, WindowLimits
from states.update import Transition
from tests.prove.crash_states import check_what_is_left
from tests.prove.parts import Budget, Part, Progress, Proof
from tests.prove.soak import fill_history, has_grown, quarters
from tests.prove.updating_agent import Fate, Scenario, UpdatingAgent
from tests.support.counting_server import CountingServer
from tests.support.disk_model import Steps, Unsynced
from tests.support.downloading import Answer
from tests.support.virtual_time import VirtualTimeLoop

HOUR, DAY = 3600.0, 86_400.0
DAYS = 30
RELEASE_EVERY = 8 * HOUR
METRICS_EVERY = 300.0
IDLE_LOOK = 15.0
"""Not every second, of which a month has millions."""
NIGHT = range(2)
"""Hours of each day without a link."""
OFFLINE_DAYS = range(15, 22)
WINDOW = TimeWindow.parse("01:00-05:00")
STREAM_BYTES = 256 << 10
"""Less than a week's telemetry."""
BEGAN = datetime(2026, 3, 1)  # noqa: DTZ001 - a device's own time of day


def parts() -> tuple[Part, ...]:
    """The one part there is."""
    about = "a simulated month with nights and a week offline: bounds hold, the newest serves"
    return (Part("month", about, prove),)


async def prove(folder: Path, budget: Budget, progress: Progress, days: int = DAYS) -> Proof:
    """Let the days pass, in a thread that has a time of its own."""

    def live() -> Proof:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            return runner.run(Month(folder, days, budget, progress).run())

    return await asyncio.to_thread(live)


def now() -> float:
    """Seconds since the month began."""
    return asyncio.get_running_loop().time()


def time_of_day() -> datetime:
    """What the device's clock shows."""
    return BEGAN + timedelta(seconds=now())


class Link:
    """Stands for the session as far as a delivery needs one; the cloud takes everything."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.numbers: list[str] = []

    @property
    def connected(self) -> bool:
        """Not at night, and not in that one week."""
        day, hour = divmod(now(), DAY)
        return int(day) not in OFFLINE_DAYS and int(hour // HOUR) not in NIGHT

    async def wait_connected(self) -> None:
        while not self.connected:  # noqa: ASYNC110 - time only jumps to what somebody waits for
            await asyncio.sleep(60)

    async def report(self, _: object) -> None:
        await self._take("reports")

    async def set_state(self, _path: str, _value: object) -> None:
        await self._take("states")

    async def stream(self, _path: str, document: bytes) -> None:
        await self._take("metrics")
        self.numbers.append(document.partition(b'"id":"')[2][:15].decode())

    async def _take(self, what: str) -> None:
        await asyncio.sleep(0.1)
        if not self.connected:
            raise LinkLost("offline")
        self.taken[what] += 1


class FarServer(CountingServer):
    """A server that is as far away as the link."""

    link: Link

    async def get_block(self, uri: str, number: int, size_exponent: int = 6) -> Answer:
        await asyncio.sleep(0.05)
        if not self.link.connected:
            raise LinkLost("offline")
        return await super().get_block(uri, number, size_exponent)


class Camera:
    """Stands for the worker's counters: ten frames a second for whatever is active."""

    def __init__(self, agent: MonthlyAgent) -> None:
        self._agent = agent
        self._release: str | None = None
        self._serial = 0
        self._since = 0.0

    async def tallies(self) -> dict[str, Any]:
        """What was counted until now of the active release."""
        active = self._agent.store.active()
        if active != self._release:
            self._release, self._serial, self._since = active, self._serial + 1, now()
        frames = int(10 * (now() - self._since))
        tally = {"serial": self._serial, "release": active, "classified": frames}
        return {"instance": "one", "age_s": now(), "tallies": [tally] if active else []}


class RememberingJournal(SqliteJournal):
    """Remembers each transition and its time of day."""

    moves: list[tuple[str, time]]

    def commit(self, transition: Transition) -> None:
        super().commit(transition)
        self.moves.append((transition.event, time_of_day().time()))


class MonthlyAgent(UpdatingAgent):
    """An agent that lives by the loop's time."""

    def open_journal(self, path: Path, announce: Announce) -> SqliteJournal:
        clock = BootClock("this month", now)
        journal = RememberingJournal(path, announce, clock, stream_bytes=STREAM_BYTES)
        journal.moves = []
        journal._db.execute("PRAGMA synchronous=OFF")  # no power is cut here
        return journal

    def policy(self) -> Policy:
        window = WindowLimits(frames=20, least_frames=10)
        return Policy(window=window, idle_interval=IDLE_LOOK)

    def gate(self, root: Path) -> FileGate:
        return FileGate(root, Gates(activation=(WINDOW,)), time_of_day)


@dataclass
class Month:
    """All that goes on, and what is looked at once a day."""

    folder: Path
    days: int
    budget: Budget
    progress: Progress
    journal_bytes: list[float] = field(default_factory=list)

    async def run(self) -> Proof:
        """Let the days pass."""
        self.proof = Proof(self.days)
        fates = _fates(int(self.days * DAY / RELEASE_EVERY))
        self.scenario = Scenario("month", tuple((fate,) for fate in fates))
        server = FarServer(self.scenario.content, Steps())
        self.link = server.link = Link()
        self.agent = MonthlyAgent(self.folder, self.scenario, Unsynced(), server)
        try:
            await self._live()
            self._judge()
        except Exception as failure:  # noqa: BLE001 - whatever it is, it broke the proof
            self.proof.broken.append(repr(failure))
        finally:
            self.agent.journal.close()
        return self.proof

    async def _live(self) -> None:
        agent, link = self.agent, self.link
        work: list[Coroutine[Any, Any, Any]] = [
            agent.conductor.run(),
            self._metrics().run(),
            *(Delivery(agent.journal.outbox, link, u).run() for u in (REPORTS, TELEMETRY)),  # type: ignore[arg-type]
            self._operate(),
        ]
        tasks = [asyncio.ensure_future(part) for part in work]
        try:
            for day in range(self.days):
                if day and self.budget.spent:
                    break
                await asyncio.sleep(DAY)
                self._look(day + 1)
                for task in tasks[:-1]:
                    assert not task.done(), task
            self.proof.done = self.proof.wanted = len(self.journal_bytes)
            # No more releases; the next night the last one is changed over to.
            tasks[-1].cancel()
            await asyncio.sleep(2 * DAY)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _metrics(self) -> MetricsReporter:
        return MetricsReporter(
            Camera(self.agent),
            self.agent.journal.measurements,
            Pace(METRICS_EVERY),
            name=lambda release: ReleaseName(release, None, None),
            device=dict,
        )

    async def _operate(self) -> None:
        """Deploy the next release whenever its time has come and the device hears of it."""
        self.deployed = 0
        for deployment in self.scenario.deployments:
            await self.link.wait_connected()
            self.agent.conductor.offer(deployment)
            self.deployed += 1
            await asyncio.sleep(RELEASE_EVERY)
            if self.deployed == 1:
                # As on a device that has been out for years.
                fill_history(self.folder / "state.db")

    def _look(self, day: int) -> None:
        """What is bounded is within its bounds."""
        db = self.agent.journal._db
        (pages,), (size,) = db.execute("PRAGMA page_count"), db.execute("PRAGMA page_size")
        self.journal_bytes.append(pages[0] * size[0])
        queued = waiting(db, Kind.STREAM)
        assert queued.bytes <= STREAM_BYTES, queued
        for table, kept in (("transitions", KEPT_TRANSITIONS), ("updates", KEPT_UPDATES)):
            (rows,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert rows <= kept + 20, f"{rows} rows of {table} on day {day}"
        check_what_is_left(self.folder, self.scenario)
        self.progress(day, self.days)

    def _judge(self) -> None:
        proof = self.proof
        journal = self.agent.journal
        assert isinstance(journal, RememberingJournal)
        proof.counts.update(f"transitions: {event}" for event, _ in journal.moves)
        for event, moment in journal.moves:
            assert event != "switched" or WINDOW.contains(moment), f"switched at {moment}"
        newest = self.scenario.deployments[self.deployed - 1].release
        good = self.scenario.fates[newest.id] is Fate.CONFIRMED
        if good:
            assert self.agent.store.active() == newest.id, "the newest does not serve"
        for release_id in self.agent.journal.rejected_releases():
            assert self.scenario.fates[release_id] is not Fate.CONFIRMED, f"good {release_id}"
        assert self.link.numbers == sorted(self.link.numbers)
        assert self.agent.journal.outbox.next([Kind.REPORT]) is None
        if len(self.journal_bytes) >= DAYS:
            before, after = quarters(self.journal_bytes)
            assert not has_grown("journal", before, after), f"journal: {before} to {after} bytes"
        proof.counts.update({f"delivered: {what}": n for what, n in self.link.taken.items()})


def _fates(count: int) -> list[Fate]:
    """What becomes of each release; the last is good."""
    chance = random.Random(30)
    bad = (Fate.FAILS_TRIAL, Fate.FAILS_WINDOW)
    fates = [chance.choice(bad) if chance.random() < 0.2 else Fate.CONFIRMED for _ in range(count)]
    return [*fates[:-1], Fate.CONFIRMED]
