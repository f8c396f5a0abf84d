"""An hour of updates and frames, one after the other: nothing may grow, and nothing may be lost.

Some devices, each with agent, worker and engines, and one cloud, all real processes. A few releases
take turns, so that every update downloads, proves, swaps and collects. The journal begins with as
much history as it ever keeps, as on a device that has been out for years. Memory, descriptors,
threads, disk and journal are looked at all the time, and the last quarter is compared with the
second: what happens but once, such as a library that is loaded late, is over by then.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from agent.journal.journal import KEPT_TRANSITIONS, KEPT_UPDATES
from bench.support.process import proportional_bytes
from demo.cloud_process import CloudProcess
from demo.stage import Process, serves
from tests.prove.parts import Budget, Part, Progress, Proof
from tests.support.on_disk import only_verified_bytes_are_reachable
from tests.system.conftest import Bench, assert_all_counted, make_bench

SECONDS = 3600.0
LANES = 3
FRAMES_PER_SECOND = 20
FEWEST_UPDATES = 2
TURNS = 6
"""Releases that take turns: more than a device keeps, so that each has to be fetched again."""
LOOKS = 120
SETTLING_SECONDS = 300.0
"""A shorter run can't tell what grows from what only begins."""
FEWEST_LOOKS = 40
"""With fewer, a quarter of them says nothing."""
PATIENCE = 180.0
ASK_EVERY = 0.2
"""Seconds between two looks for an update's end; each takes time that the updates need."""
MIB = 1 << 20


@dataclass(frozen=True)
class Tolerance:
    """How much more the last quarter may show than the second, as a share and in all."""

    share: float
    slack: float


TOLERANCES = {
    "memory": Tolerance(0.05, 2 * MIB),
    "descriptors": Tolerance(0, 3),
    "threads": Tolerance(0, 2),
    "disk": Tolerance(0.05, 1 * MIB),
    "journal": Tolerance(0.05, MIB / 2),
}


def parts() -> tuple[Part, ...]:
    """The one part there is."""
    about = "an hour of updates and frames: nothing grows, every frame is accounted for"
    return (Part("soak", about, prove),)


async def prove(folder: Path, budget: Budget, progress: Progress, lanes: int = LANES) -> Proof:
    """Devices beside each other that share a cloud, for the budget or an hour."""
    seconds = budget.seconds or SECONDS
    proof = Proof(int(seconds))
    cloud = CloudProcess(folder / "cloud", rate_limit=0)
    cloud.start()
    run = Run(proof, cloud, time.monotonic() + seconds, seconds / LOOKS)
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(lanes):
                lane = Lane(number, folder / str(number), run)
                group.create_task(asyncio.to_thread(lane.run, progress))
            group.create_task(asyncio.to_thread(run.watch_cloud))
    finally:
        cloud.process.kill()
    proof.done = int(seconds) if not proof.broken else 0
    progress(proof.done, proof.wanted)
    run.judge()
    return proof


@dataclass
class Run:
    """What all devices have in common."""

    proof: Proof
    cloud: CloudProcess
    end: float
    look_every: float
    seen: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    """What was looked at: whose, and of what kind."""

    @property
    def over(self) -> bool:
        """Whether it has gone on for long enough, or something broke."""
        return time.monotonic() > self.end or bool(self.proof.broken)

    def note(self, whose: str, figures: Mapping[str, float]) -> None:
        """Remember what a look showed."""
        for kind, value in figures.items():
            self.seen[whose, kind].append(value)

    def watch_cloud(self) -> None:
        """Look at the cloud's process now and then; its disk keeps every deployment there was."""
        while not self.over:
            self.note("cloud", of_process(self.cloud.process.pid))
            time.sleep(self.look_every)

    def judge(self) -> None:
        """Compare, and say what was compared."""
        for (whose, kind), values in sorted(self.seen.items()):
            if len(values) < FEWEST_LOOKS:
                continue
            before, after = quarters(values)
            self.proof.notes.append(
                f"{whose}, {kind}: {shown(kind, before)} → {shown(kind, after)}"
            )
            if self.proof.wanted >= SETTLING_SECONDS and has_grown(kind, before, after):
                self.proof.broken.append(self.proof.notes[-1])


def quarters(values: Sequence[float]) -> tuple[float, float]:
    """Means of the second and of the last quarter."""
    quarter = len(values) // 4
    return mean(values[quarter : 2 * quarter]), mean(values[-quarter:])


def has_grown(kind: str, before: float, after: float) -> bool:
    """Whether that is more than chance."""
    tolerance = TOLERANCES[kind]
    return after > before * (1 + tolerance.share) + tolerance.slack


def shown(kind: str, value: float) -> str:
    """A figure for people."""
    return f"{value:.1f}" if kind in {"descriptors", "threads"} else f"{value / MIB:.2f} MiB"


def of_process(pid: int) -> dict[str, float]:
    """Memory, descriptors and threads of a process."""
    folder = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return {
        "memory": proportional_bytes(pid),
        "descriptors": len(list((folder / "fd").iterdir())),
        "threads": int(status["Threads"]),
    }


def of_disk(state_dir: Path) -> dict[str, float]:
    """What a device's folder takes, and its journal in that."""
    total = journal = 0
    for path in state_dir.rglob("*"):
        with suppress(FileNotFoundError):  # the agent goes on meanwhile
            size = path.lstat().st_blocks * 512
            total += size
            journal += size if path.name.startswith("state.db") else 0
    return {"disk": total, "journal": journal}


class Lane:
    """One device that is updated for as long as the run goes on."""

    def __init__(self, number: int, folder: Path, run: Run) -> None:
        folder.mkdir()
        self._name = f"device {number}"
        self._folder = folder
        self._run = run
        self._next_look = 0.0

    def run(self, progress: Progress) -> None:
        """Update it again and again."""
        try:
            for bench in make_bench(self._run.cloud, self._folder, self._name):
                self._begin(bench)
                turn = 0
                # On a busy machine the time may be over before anything was done.
                while not self._run.over or (turn < FEWEST_UPDATES and not self._run.proof.broken):
                    turn += 1
                    self._update(bench, turn % TURNS)
                    left = max(0.0, self._run.end - time.monotonic())
                    progress(self._run.proof.wanted - int(left), self._run.proof.wanted)
                self._finish(bench)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others end as well
            self._run.proof.broken.append(f"{self._name}: {error!r}")

    def _begin(self, bench: Bench) -> None:
        # Leave the machine time for updates: the camera is not what is tried here.
        bench.tables["worker"]["frames_per_second"] = FRAMES_PER_SECOND
        bench.device.configure(bench.tables)
        bench.device.start("worker")
        bench.device.start("run")
        # The second is compared with the first, as all are from then on.
        for version in ("first", "second"):
            bench.deploy(version)
            bench.device.await_status(f"the {version} serves", serves(version), PATIENCE)
        bench.device.agent.stop()
        fill_history(bench.device.state_dir / "state.db")
        bench.device.start("run")

    def _update(self, bench: Bench, number: int) -> None:
        version = str(number)
        bench.deploy(version, bench.large_model(version, 30_000))
        status = bench.device.await_status(
            f"{version} serves", serves(version), PATIENCE, ASK_EVERY
        )
        self._run.proof.counts["swaps"] += 1
        assert status["rejected"] == [], status["rejected"]
        if time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + self._run.look_every
            self._look(bench)

    def _look(self, bench: Bench) -> None:
        processes: tuple[tuple[str, Process], ...] = (
            ("agent", bench.device.agent),
            ("worker", bench.device.worker),
        )
        for name, process in processes:
            self._run.note(f"{self._name}, {name}", of_process(process.pid))
        self._run.note(self._name, of_disk(bench.device.state_dir))
        assert_all_counted(bench.device)

    def _finish(self, bench: Bench) -> None:
        status = bench.device.inspect(lambda inspector: inspector.status())
        counts = self._run.proof.counts
        for kind in ("captured", "classified", "dropped"):
            counts[f"frames {kind}"] += status["worker"][kind]
        only_verified_bytes_are_reachable(bench.device.state_dir)


def fill_history(journal: Path) -> None:
    """As much history as is ever kept, in rows like the newest there are."""
    with closing(sqlite3.connect(journal)) as db, db:
        (newest,) = db.execute("SELECT max(id) FROM updates").fetchone()
        for table, kept in (("transitions", KEPT_TRANSITIONS), ("updates", KEPT_UPDATES)):
            names = _columns(db, table, "id")
            db.execute(
                f"INSERT INTO {table} (id, {names}) WITH RECURSIVE n(i) AS "
                f"(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {kept}) "
                f"SELECT newest.id + i, {names} FROM n, "
                f"(SELECT * FROM {table} ORDER BY id DESC LIMIT 1) AS newest"
            )
        for table in ("costs", "evidence"):
            names = _columns(db, table, "id", "update_id")
            db.execute(
                f"INSERT INTO {table} (update_id, {names}) SELECT later.id, {names} FROM {table}, "
                f"(SELECT id FROM updates WHERE id > {newest}) AS later WHERE update_id = {newest}"
            )


def _columns(db: sqlite3.Connection, table: str, *but: str) -> str:
    found = (row[1] for row in db.execute(f"PRAGMA table_info({table})"))
    return ", ".join(name for name in found if name not in but)
