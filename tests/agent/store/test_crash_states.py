"""Every state a power cut may leave on the disk, for three updates from the first byte to the last.

The steps of real updates are recorded. After each of them the power is cut: a model of a POSIX
file system decides by chance which unsynced names and bytes survived (torn in sectors, too), the
result is put on a real disk, and a new store and downloader have to make the best of it.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from agent.download.checkpoint import Checkpoint, CheckpointPace
from agent.download.downloader import Downloader, DownloadSettings
from agent.store.files import Files
from agent.store.names import PackageNames
from agent.store.release_store import ReleaseStore
from states.model import Package, Release
from tests.support.counting_server import CountingServer
from tests.support.disk_model import Disk, Killed, Recorder, Steps, Unsynced
from tests.support.downloading import MemoryCheckpoints

PACE = CheckpointPace(blocks=3, seconds=1e9)
IN_FLIGHT = 4


class Notes(MemoryCheckpoints):
    """Checkpoints, durable at once; recorded like everything else."""

    def __init__(self, notes: dict[str, Checkpoint], steps: Steps) -> None:
        super().__init__()
        self.notes = notes
        self._steps = steps

    def save(self, sha256: str, checkpoint: Checkpoint) -> None:
        super().save(sha256, checkpoint)
        self._steps.append(lambda disk: disk.notes.update({sha256: checkpoint}))

    def forget(self, sha256: str) -> None:
        super().forget(sha256)

        def step(disk: Disk) -> None:
            disk.notes.pop(sha256, None)

        self._steps.append(step)


def made_content() -> dict[str, bytes]:
    chance = random.Random(1)
    models = {f"/model-{i}": chance.randbytes(9 * 1024 + i) for i in range(3)}
    return models | {f"/labels-{i}": b"labels %d\n" % i for i in range(3)}


def package(name: str, uri: str) -> Package:
    content = CONTENT[uri]
    return Package(name, uri[-1], hashlib.sha256(content).hexdigest(), len(content), uri)


CONTENT = made_content()
RELEASES = [
    Release((package("ai-model", f"/model-{i}"), package("labels", f"/labels-{i}")))
    for i in range(3)
]


class Agent:
    """A store and a downloader on one directory, as after a start."""

    def __init__(self, root: Path, files: Files, notes: Notes, source: CountingServer) -> None:
        self.store = ReleaseStore(
            root,
            names=PackageNames(),
            reserve_bytes=0,
            keep_releases=0,
            files=files,
        )
        self.store.prepare()
        self._downloader = Downloader(self.store, notes, source, DownloadSettings(IN_FLIGHT, PACE))

    async def update(self, release: Release) -> None:
        missing = self.store.missing(release)
        await self._downloader.fetch(missing, lambda _done, _total: None)
        self.store.assemble(release)
        active = self.store.active()
        fallback = active if active != release.id else self.store.previous()
        self.store.switch(release.id, fallback)
        self.store.collect()


async def record(root: Path, steps: Steps, notes: dict[str, Checkpoint], first: int = 0) -> int:
    """Start an agent that updates from release ``first`` on; returns where it died or ended."""
    number = first
    try:
        agent = Agent(
            root, Recorder(root, steps), Notes(notes, steps), CountingServer(CONTENT, steps)
        )
        for number in range(first, len(RELEASES)):
            await agent.update(RELEASES[number])
    except Killed:
        steps.kill_after = None
    return number


def check_what_is_left(root: Path, agent: Agent) -> None:
    """The promises, before anything was mended but leftovers."""
    for blob in (root / "blobs").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    active = agent.store.active()
    if active is not None:
        assert agent.store.holds(active)
        number = [release.id for release in RELEASES].index(active)
        assert (root / "current" / "ai-model.tflite").read_bytes() == CONTENT[f"/model-{number}"]
        assert (root / "current" / "labels.txt").read_bytes() == CONTENT[f"/labels-{number}"]
        assert (root / "current" / "version.txt").read_text() == f"{number}\n"


async def check_recovery(root: Path, disk: Disk, lives: int = 1) -> None:
    source = CountingServer(CONTENT, Steps())
    agent = Agent(root, Unsynced(), Notes(dict(disk.notes), Steps()), source)
    check_what_is_left(root, agent)
    active = agent.store.active()
    started = [i for i in range(3) if disk.asked[f"/model-{i}"] or disk.asked[f"/labels-{i}"]]
    target = RELEASES[started[-1] if started else 0]
    await agent.update(target)

    assert agent.store.active() == target.id
    assert active in {None, target.id, agent.store.previous()}
    for wanted in target.packages:
        blocks = -(-wanted.size // 1024)
        twice = disk.asked[wanted.uri] + source.asked[wanted.uri] - blocks
        # One checkpoint, and what was under way, for each time the agent died.
        assert twice <= lives * (PACE.blocks + IN_FLIGHT)
    check_what_is_left(root, agent)
    assert list((root / "partial").iterdir()) == []


async def test_a_power_cut_after_any_step_leaves_something_to_go_on_from(tmp_path: Path) -> None:
    chance = random.Random(1)
    recorded, steps = tmp_path / "recorded", Steps()
    recorded.mkdir()
    await record(recorded, steps, {})
    assert len(steps) > 200
    disk = Disk()
    for number, step in enumerate(steps):
        step(disk)
        root = tmp_path / f"after-{number}"
        disk.after_power_cut(root, chance)
        await check_recovery(root, disk)


async def test_a_power_cut_some_time_after_a_sigkill_does_no_harm_either(tmp_path: Path) -> None:
    """What the killed process renamed and had no time to sync is not forgotten by the next one."""
    chance = random.Random(3)
    whole, undisturbed = tmp_path / "whole", Steps()
    whole.mkdir()
    await record(whole, undisturbed, {})
    for kill in range(1, undisturbed.renames + 1):
        recorded, steps, notes = tmp_path / f"killed-{kill}", Steps(), dict[str, Checkpoint]()
        recorded.mkdir()
        steps.kill_after = kill
        under_way = await record(recorded, steps, notes)
        killed_at = len(steps)
        await record(recorded, steps, notes, under_way)
        later = range(killed_at, len(steps))
        cuts = chance.sample(later, min(6, len(later)))
        disk = Disk()
        for number, step in enumerate(steps):
            step(disk)
            if number in cuts:
                root = tmp_path / f"killed-{kill}-cut-{number}"
                disk.after_power_cut(root, chance)
                await check_recovery(root, disk, lives=2)
