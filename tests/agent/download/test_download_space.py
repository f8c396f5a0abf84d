"""Downloads on disks that are full, or become so."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.download.checkpoint import CheckpointPace
from agent.store.files import Files, OpenFile
from states.ports import Postponed
from states.reasons import Transient
from tests.support.downloading import (
    Device,
    Server,
    no_accident,
    refused,
)
from tests.support.small_disk import SmallDisk


class FullDisk(Files):
    """A real disk that takes so many more bytes."""

    def __init__(self) -> None:
        self.room: int | None = None

    def write_at(self, file: OpenFile, offset: int, data: bytes) -> None:
        if self.room is not None:
            self.room -= len(data)
            if self.room < 0:
                raise Postponed(Transient.DISK_FULL, f"{file.path}: No space left on device")
        super().write_at(file, offset, data)


async def test_a_full_disk_postpones_and_nothing_is_lost_when_space_returns(
    tmp_path: Path, model: bytes
) -> None:
    files = FullDisk()
    device = Device(tmp_path / "state", files=files)
    package = device.publish("ai-model", model)
    files.room = 100 * 1024
    outcome = await refused(device, package)
    assert outcome.reason is Transient.DISK_FULL

    files.room = None
    await device.fetch(package)
    assert device.content(package) == model
    assert Counter(device.server.numbers()) == Counter(range(201)) + Counter([100])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A real file system of 1 MiB."""
    try:
        disk = SmallDisk(tmp_path / "small", 1 << 20)
    except subprocess.CalledProcessError:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk.folder)], check=True)


async def test_a_really_full_disk_heals_when_space_is_freed(small_disk: SmallDisk) -> None:
    device = Device(small_disk.folder / "state")
    package = device.publish("ai-model", os.urandom(900 * 1024))

    def fill(server: Server, number: int, time: int) -> None:
        if number == 400 and time == 1:
            small_disk.fill()

    device.server.accident = fill
    outcome = await refused(device, package)
    assert outcome.reason is Transient.DISK_FULL
    assert str(small_disk.folder) in outcome.detail
    outcome = await refused(device, package)
    assert outcome.reason is Transient.DISK_FULL

    small_disk.make_room()
    device.server.accident = no_accident
    asked = len(device.server.asked)
    await device.fetch(package)
    assert len(device.server.asked) - asked < 900 - 400 + 8
    assert device.content(package) == device.server.artifacts["/model"]


async def test_the_reserve_is_left_alone(small_disk: SmallDisk) -> None:
    device = Device(small_disk.folder / "state", reserve=512 * 1024)
    package = device.publish("ai-model", bytes(600 * 1024))
    outcome = await refused(device, package)
    assert outcome.reason is Transient.DISK_FULL
    assert device.server.asked == []


async def test_a_disk_that_fills_up_meanwhile_stops_before_the_reserve(
    small_disk: SmallDisk,
) -> None:
    device = Device(small_disk.folder / "state", reserve=256 * 1024)
    device.restart(pace=CheckpointPace(blocks=16))
    package = device.publish("ai-model", bytes(600 * 1024))

    def fill(server: Server, number: int, time: int) -> None:
        (small_disk.folder / "ballast").write_bytes(bytes(400 * 1024))

    device.server.accident = fill
    outcome = await refused(device, package)
    assert outcome.reason is Transient.DISK_FULL
    assert "reserve" in outcome.detail
    space = os.statvfs(small_disk.folder)
    assert space.f_bavail * space.f_frsize > 200 * 1024
