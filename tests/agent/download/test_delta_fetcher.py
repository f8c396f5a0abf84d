"""A package made with a patch is the package, and a patch never costs more than its bytes."""

from __future__ import annotations

import errno
import os
import random
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from aiocoap import Code

from agent.download.delta_fetcher import DeltaFetcher
from agent.store.files import Files, OpenFile
from protocol.delta import companion_name, companion_version, make_patch, read_header
from protocol.errors import LinkLost, ResponseError
from states.model import Companion, Package
from states.ports import Fetcher, Postponed, Rejected
from states.reasons import Transient
from tests.support.disk_model import Disk, Recorder, Steps, Unsynced
from tests.support.downloading import Device, Server, no_accident

BASE = random.Random(1).randbytes(100_000)
TARGET = BASE[:50_000] + b"new head" + BASE[50_008:]
PATCH = make_patch(BASE, TARGET)


class PatchedDevice:
    """A device that holds ``BASE``, and a server with ``TARGET`` and patches of it."""

    def __init__(self, folder: Path, files: Files | None = None) -> None:
        self.device = Device(folder, files)
        self.base = self.device.publish("ai-model", BASE, "/base")
        self.target = self.device.publish("ai-model", TARGET, "/target")
        self.companions: tuple[Companion, ...] = ()
        self.progress: list[tuple[int, int]] = []
        self.restart()

    @property
    def server(self) -> Server:
        return self.device.server

    def restart(self) -> None:
        self.device.restart()
        self.fetcher: Fetcher = DeltaFetcher(
            self.device.downloader, self.device.store, self.device.notes
        )

    def publish_patch(self, patch: bytes = PATCH, base: Package | None = None) -> Companion:
        number = len(self.companions)
        beginning = (base or self.base).sha256
        artifact = replace(
            self.device.publish(companion_name("ai-model", number), patch, f"/patch{number}"),
            version=companion_version(beginning, self.target.sha256),
        )
        companion = Companion("ai-model", beginning[:8], artifact)
        self.companions += (companion,)
        return companion

    async def hold_base(self) -> None:
        await self.device.fetch(self.base)
        self.server.asked.clear()

    async def fetch(self, *others: Package) -> None:
        packages = (self.target, *others)
        await self.fetcher.fetch(packages, lambda *n: self.progress.append(n), self.companions)

    def asked(self, uri: str) -> int:
        return len(self.server.numbers(uri))

    def check(self) -> None:
        assert self.device.content(self.target) == TARGET
        assert self.device.content(self.base) == BASE
        assert not [p for p in (self.device.store.state_dir / "partial").iterdir() if p.suffix]


@pytest.fixture
async def patched(tmp_path: Path) -> PatchedDevice:
    device = PatchedDevice(tmp_path)
    await device.hold_base()
    return device


async def test_a_patch_takes_the_place_of_the_package(patched: PatchedDevice) -> None:
    patched.publish_patch()
    labels = patched.device.publish("labels", b"a\nb\n", "/labels")
    await patched.fetch(labels)
    patched.check()
    assert patched.device.content(labels) == b"a\nb\n"
    assert (patched.asked("/patch0"), patched.asked("/target")) == (1, 0)
    assert patched.progress[-1] == (len(TARGET) + 4, len(TARGET) + 4)


async def test_progress_counts_bytes_of_the_packages(patched: PatchedDevice) -> None:
    # A patch of several blocks, for a target that is half new.
    fresh = BASE[:90_000] + random.Random(2).randbytes(10_000)
    patched.target = patched.device.publish("ai-model", fresh, "/target")
    patched.publish_patch(make_patch(BASE, fresh))
    labels = patched.device.publish("labels", bytes(5_000), "/labels")
    await patched.device.fetch(labels)
    await patched.fetch(labels)
    done = [done for done, _ in patched.progress]
    assert {total for _, total in patched.progress} == {105_000}
    assert done == sorted(done)
    assert len(set(done)) > 5
    assert (done[0], done[-1]) == (5_000, 105_000)


async def test_without_the_base_nothing_is_asked_of_the_patch(tmp_path: Path) -> None:
    patched = PatchedDevice(tmp_path)
    patched.publish_patch()
    await patched.fetch()
    assert patched.device.content(patched.target) == TARGET
    assert patched.asked("/patch0") == 0


async def test_of_several_patches_the_smallest_with_a_base_is_taken(
    patched: PatchedDevice,
) -> None:
    patched.publish_patch(make_patch(BASE, BASE[:90_000]))
    patched.publish_patch()
    patched.publish_patch(b"x", base=replace(patched.base, sha256="f" * 64))
    smallest = min(patched.companions[:2], key=lambda c: c.patch.size)
    await patched.fetch()
    patched.check()
    assert patched.asked(smallest.patch.uri)
    assert patched.asked("/patch2") == 0


async def test_a_patch_for_what_is_nearly_complete_is_left_alone(patched: PatchedDevice) -> None:
    patched.server.accident = lambda server, number, time: LinkLost("gone") if number > 96 else None
    with pytest.raises(Postponed):
        await patched.fetch()
    patched.server.accident = no_accident
    patched.publish_patch(PATCH + bytes(5_000))
    await patched.fetch()
    patched.check()
    assert patched.asked("/patch0") == 0


async def test_what_an_interrupted_download_left_goes_once_the_patch_has_worked(
    patched: PatchedDevice,
) -> None:
    patched.server.accident = lambda server, number, time: LinkLost("gone") if number > 10 else None
    with pytest.raises(Postponed):
        await patched.fetch()
    assert patched.device.notes.notes
    patched.server.accident = no_accident
    patched.publish_patch()
    await patched.fetch()
    patched.check()
    assert patched.device.notes.notes == {}


HEADER = read_header(BytesIO(PATCH))
USELESS = {
    "no patch": b"x" * 300,
    "an empty one": b"",
    "cut short": PATCH[:-3],
    "bytes behind it": PATCH + b"\0",
    "another base": replace(HEADER, base_sha256="0" * 64).encode() + PATCH[88:],
    "another size of the base": replace(HEADER, base_size=99_999).encode() + PATCH[88:],
    "another target": make_patch(BASE, TARGET[::-1][:900]),
    "another size": replace(HEADER, target_size=5).encode() + PATCH[88:],
    "a wrong result": HEADER.encode() + make_patch(BASE, b"!" + TARGET[1:])[88:],
    "a bomb": HEADER.encode() + make_patch(BASE, bytes(30 << 20))[88:],
}


@pytest.mark.parametrize("patch", USELESS.values(), ids=USELESS.keys())
async def test_a_useless_patch_leads_to_the_full_package(
    patched: PatchedDevice, patch: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    patched.publish_patch(patch)
    await patched.fetch()
    patched.check()
    assert "is fetched in full" in caplog.text
    assert patched.asked("/target") == 98


async def test_a_useless_patch_is_not_tried_again_in_the_same_update(
    patched: PatchedDevice,
) -> None:
    patched.publish_patch(USELESS["a wrong result"])

    def accident(server: Server, number: int, time: int) -> LinkLost | None:
        return LinkLost("gone") if server.asked[-1][0] == "/target" and number > 10 else None

    patched.server.accident = accident
    for _ in range(2):
        with pytest.raises(Postponed):
            await patched.fetch()
    patched.server.accident = no_accident
    patched.restart()
    await patched.fetch()
    patched.check()
    assert patched.asked("/patch0") == 1


async def test_the_next_patch_is_tried_before_the_full_package(patched: PatchedDevice) -> None:
    patched.publish_patch(PATCH[:-30])
    patched.publish_patch()
    await patched.fetch()
    patched.check()
    assert (patched.asked("/patch0"), patched.asked("/patch1")) == (1, 1)
    assert patched.asked("/target") == 0


async def test_a_patch_of_another_size_or_hash_does_not_reject_the_update(
    patched: PatchedDevice,
) -> None:
    patched.publish_patch()
    patched.server.artifacts["/patch0"] = PATCH[:-1] + b"!"
    patched.publish_patch()
    patched.server.artifacts["/patch1"] = PATCH + b"more"
    patched.companions = (
        patched.companions[0],
        replace(patched.companions[1], patch=replace(patched.companions[1].patch, sha256="e" * 64)),
    )
    await patched.fetch()
    patched.check()
    assert patched.asked("/target") == 98


async def test_a_patch_at_an_address_nobody_can_fetch_does_not_reject_the_update(
    patched: PatchedDevice,
) -> None:
    companion = patched.publish_patch()
    patch = replace(companion.patch, uri="https://elsewhere/patch")
    patched.companions = (replace(companion, patch=patch),)
    await patched.fetch()
    patched.check()


async def test_a_patch_the_server_has_not_is_done_without(patched: PatchedDevice) -> None:
    patched.publish_patch()
    patched.server.accident = lambda server, number, time: (
        ResponseError(Code.NOT_FOUND, "") if server.asked[-1][0] == "/patch0" else None
    )
    await patched.fetch()
    patched.check()


async def test_a_server_in_trouble_is_given_a_second_chance(patched: PatchedDevice) -> None:
    patched.publish_patch()
    patched.server.accident = lambda server, number, time: (
        ResponseError(Code.FORBIDDEN, "") if server.asked[-1][0] == "/patch0" else None
    )
    with pytest.raises(Postponed) as postponed:
        await patched.fetch()
    assert postponed.value.reason is Transient.SERVER_ERROR
    assert patched.asked("/target") == 0
    await patched.fetch()
    patched.check()
    assert patched.asked("/target") == 98


async def test_a_lost_link_is_waited_for_and_the_patch_taken_then(patched: PatchedDevice) -> None:
    patched.publish_patch()
    patched.server.accident = lambda server, number, time: LinkLost("gone")
    with pytest.raises(Postponed) as postponed:
        await patched.fetch()
    assert postponed.value.reason is Transient.LINK_LOST
    patched.server.accident = no_accident
    await patched.fetch()
    patched.check()
    assert patched.asked("/target") == 0


async def test_a_damaged_base_leads_to_the_full_package(patched: PatchedDevice) -> None:
    patched.publish_patch()
    blob = patched.device.store.blob_path(patched.base)
    blob.chmod(0o644)
    blob.write_bytes(BASE[:-1] + b"!")
    await patched.fetch()
    assert patched.device.content(patched.target) == TARGET
    assert patched.asked("/target") == 98


async def test_too_little_memory_for_a_patch_leads_to_the_full_package(
    patched: PatchedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short_of_memory(*_: object) -> bytes:
        raise MemoryError

    patched.publish_patch()
    monkeypatch.setattr("agent.download.delta_fetcher.restore", short_of_memory)
    await patched.fetch()
    patched.check()
    assert patched.asked("/target") == 98


async def test_a_base_that_is_gone_leads_to_the_full_package(patched: PatchedDevice) -> None:
    patched.publish_patch()
    blob = patched.device.store.blob_path(patched.base)
    blob.rename(blob.with_name(blob.name[:8] + "0" * 56))
    await patched.fetch()
    assert patched.device.content(patched.target) == TARGET


class FullWhileRestoring(Files):
    """A disk that has no room for the package itself."""

    full = False

    def write_at(self, file: OpenFile, offset: int, data: bytes) -> None:
        if self.full and file.path.name.startswith(".tmp-"):
            raise Postponed(Transient.DISK_FULL, os.strerror(errno.ENOSPC))
        super().write_at(file, offset, data)


async def test_a_disk_that_fills_up_meanwhile_postpones_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    files = FullWhileRestoring()
    patched = PatchedDevice(tmp_path, files)
    await patched.hold_base()
    patched.publish_patch()
    files.full = True
    with pytest.raises(Postponed) as postponed:
        await patched.fetch()
    assert postponed.value.reason is Transient.DISK_FULL
    assert list((tmp_path / "partial").iterdir()) == []
    files.full = False
    await patched.fetch()
    patched.check()
    assert (patched.asked("/patch0"), patched.asked("/target")) == (1, 0)


async def test_without_room_for_both_the_package_comes_in_full(
    patched: PatchedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    patched.publish_patch()
    room = len(TARGET) + len(PATCH)
    monkeypatch.setattr(patched.device.store, "available_bytes", lambda: room - 1)
    await patched.fetch()
    patched.check()
    assert patched.asked("/patch0") == 0


async def test_a_wrong_package_is_rejected_as_ever(patched: PatchedDevice) -> None:
    patched.publish_patch(PATCH[:-1])
    patched.server.artifacts["/target"] = b"!" + TARGET[1:]
    with pytest.raises(Rejected, match="hash-mismatch"):
        await patched.fetch()


async def test_a_power_cut_at_any_step_leaves_whole_packages_only(tmp_path: Path) -> None:
    chance = random.Random(4)
    recorded, steps = tmp_path / "recorded", Steps()
    recorded.mkdir()
    whole = PatchedDevice(recorded, Recorder(recorded, steps))
    whole.publish_patch()
    await whole.hold_base()
    begun = len(steps)
    await whole.fetch()
    whole.check()
    disk = Disk()
    for number, step in enumerate(steps):
        step(disk)
        if number < begun:
            continue
        root = tmp_path / f"after-{number}"
        disk.after_power_cut(root, chance)
        after = PatchedDevice(root, Unsynced())
        after.publish_patch()
        await after.fetch()
        after.check()
        assert after.asked("/target") == 0
    assert len(steps) > begun + 10
