"""The downloader on real files, fed by a server that misbehaves as real ones were seen to."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiocoap import Code
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.answers import Expected, Verdict, judge
from agent.blockwise import BlockRequest, FixedWindow
from agent.download import Downloader, DownloadSettings
from agent.files import Files, OpenFile
from agent.partial import Checkpoint, CheckpointPace
from agent.store import ReleaseStore
from protocol.errors import LinkLost, ProtocolError, ResponseError, TooManyRequests
from states.model import Package
from states.ports import Fetcher, Postponed, Rejected
from states.reasons import Rejection, Transient

CHILD = Path(__file__).with_name("downloading_child.py")


@dataclass(frozen=True)
class Answer:
    number: int
    more: bool
    payload: bytes
    total_size: int | None = None
    etag: bytes | None = None


# What an accident makes of the answer to the n-th request for a block; None leaves it as it is.
Accident = Callable[["Server", int, int], "Answer | ProtocolError | None"]


class Server:
    """Serves artifacts by path; ``accident`` may replace any answer."""

    def __init__(self) -> None:
        self.artifacts: dict[str, bytes] = {}
        self.asked: list[tuple[str, int]] = []
        self.accident: Accident = lambda server, number, time: None
        self.states_size = True
        self.etags: dict[str, bytes] = {}
        self.largest = 6
        self.under_way = 0
        self.most_under_way = 0
        self.held = asyncio.Event()
        self.held.set()

    async def get_block(self, uri: str, number: int, size_exponent: int = 6) -> Answer:
        self.asked.append((uri, number))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            await self.held.wait()
        finally:
            self.under_way -= 1
        answer = self.accident(self, number, self.asked.count((uri, number)))
        if isinstance(answer, ProtocolError):
            raise answer
        return answer or self.block(uri, number, size_exponent)

    def block(self, uri: str, number: int, size_exponent: int = 6) -> Answer:
        size = 16 << min(size_exponent, self.largest)
        if size_exponent > self.largest:
            number <<= size_exponent - self.largest
        content = self.artifacts[uri]
        end = (number + 1) * size
        if number * size > len(content):
            raise ResponseError(Code.REQUEST_ENTITY_INCOMPLETE, "past the end")
        return Answer(
            number,
            end < len(content),
            content[end - size : end],
            len(content) if self.states_size else None,
            self.etags.get(uri),
        )

    def numbers(self, uri: str = "/model") -> list[int]:
        return [number for asked, number in self.asked if asked == uri]


class Notes:
    """Checkpoints that outlive a downloader."""

    def __init__(self) -> None:
        self.notes: dict[str, Checkpoint] = {}

    def load(self, sha256: str) -> Checkpoint | None:
        return self.notes.get(sha256)

    def save(self, sha256: str, checkpoint: Checkpoint) -> None:
        self.notes[sha256] = checkpoint

    def forget(self, sha256: str) -> None:
        self.notes.pop(sha256, None)


class Device:
    """A state directory, what the server has, and a downloader between them."""

    def __init__(self, state_dir: Path, files: Files | None = None, reserve: int = 0) -> None:
        self.server = Server()
        self.notes = Notes()
        self.store = ReleaseStore(
            state_dir,
            model_package="ai-model",
            labels_package="labels",
            reserve_bytes=reserve,
            keep_releases=1,
            files=files,
        )
        self.store.prepare()
        self.progress: list[tuple[int, int]] = []
        self.restart()

    def restart(self, in_flight: int = 1, pace: CheckpointPace | None = None) -> None:
        chosen = DownloadSettings(in_flight, pace or CheckpointPace(seconds=1e9))
        self.downloader = Downloader(self.store, self.notes, self.server, chosen)

    def publish(self, name: str, content: bytes, uri: str = "/model") -> Package:
        self.server.artifacts[uri] = content
        return Package(name, "1", hashlib.sha256(content).hexdigest(), len(content), uri)

    async def fetch(self, *packages: Package) -> None:
        await self.downloader.fetch(packages, lambda d, t: self.progress.append((d, t)))

    def content(self, package: Package) -> bytes:
        return (self.store.state_dir / "blobs" / package.sha256).read_bytes()


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "state")


@pytest.fixture
def model() -> bytes:
    return os.urandom(200 * 1024 + 7)


async def refused(device: Device, *packages: Package) -> Postponed | Rejected:
    with pytest.raises((Postponed, Rejected)) as raised:
        await device.fetch(*packages)
    assert isinstance(raised.value, Postponed | Rejected)
    return raised.value


# The plain way.


async def test_an_artifact_arrives_as_it_was_published(device: Device, model: bytes) -> None:
    fetcher: Fetcher = device.downloader
    assert fetcher
    package = device.publish("ai-model", model)
    await device.fetch(package)
    assert device.content(package) == model
    assert device.server.numbers() == list(range(201))
    assert device.downloader.downloaded_bytes == len(model)
    assert device.notes.notes == {}
    assert not device.store.partial_path(package).exists()


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 4096])
async def test_every_length_works_with_and_without_a_stated_size(tmp_path: Path, size: int) -> None:
    for states_size in (True, False):
        device = Device(tmp_path / str(states_size))
        device.server.states_size = states_size
        package = device.publish("ai-model", os.urandom(size))
        await device.fetch(package)
        assert device.content(package) == device.server.artifacts["/model"]
        assert len(device.server.asked) == -(-size // 1024)


async def test_the_smallest_package_comes_first_and_progress_counts_what_is_held(
    device: Device, model: bytes
) -> None:
    held = device.publish("extra", b"held already", "/held")
    await device.fetch(held)
    big, small = device.publish("ai-model", model), device.publish("labels", b"a\nb", "/labels")
    device.progress.clear()
    device.server.asked.clear()

    await device.fetch(big, held, small)

    assert device.server.asked[0] == ("/labels", 0)
    assert not device.server.numbers("/held")
    total = len(model) + 3 + 12
    assert device.progress[0] == (12, total)
    assert device.progress[-1] == (total, total)
    assert [done for done, _ in device.progress] == sorted(d for d, _ in device.progress)


async def test_the_same_content_under_two_names_is_fetched_once(
    device: Device, model: bytes
) -> None:
    one = device.publish("ai-model", model)
    await device.fetch(one, replace(one, name="copy"))
    assert len(device.server.asked) == 201
    assert device.progress[-1] == (len(model), len(model))


async def test_what_is_in_the_store_is_not_fetched(device: Device, model: bytes) -> None:
    package = device.publish("ai-model", model)
    await device.fetch(package)
    device.server.asked.clear()
    await device.fetch(package)
    assert device.server.asked == []
    assert device.progress[-1] == (len(model), len(model))


async def test_requests_overlap_up_to_the_window(device: Device, model: bytes) -> None:
    device.restart(in_flight=5)
    package = device.publish("ai-model", model)
    await device.fetch(package)
    assert device.server.most_under_way == 5
    assert sorted(device.server.numbers()) == list(range(201))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 16), st.integers())
async def test_answers_in_any_order_make_the_same_file(
    tmp_path_factory: pytest.TempPathFactory, in_flight: int, seed: int
) -> None:
    chance = random.Random(seed)
    device = Device(tmp_path_factory.mktemp("device"))

    class Shuffled(Server):
        async def get_block(self, uri: str, number: int, size_exponent: int = 6) -> Answer:
            for _ in range(chance.randrange(8)):
                await asyncio.sleep(0)
            # A late answer to an earlier request, as the original took for the next block.
            if chance.random() < 0.1:
                return self.block(uri, chance.randrange(40), size_exponent)
            return await super().get_block(uri, number, size_exponent)

    device.server = Shuffled()
    device.restart(in_flight)
    content = chance.randbytes(40_000)
    package = device.publish("ai-model", content)
    await device.fetch(package)
    assert device.content(package) == content


# Accidents that heal.


def once(number: int, make: Callable[[Server, int], Answer | ProtocolError]) -> Accident:
    """The accident happens to the first answer for one block."""

    def accident(server: Server, asked: int, time: int) -> Answer | ProtocolError | None:
        return make(server, asked) if asked == number and time == 1 else None

    return accident


HEALING: dict[str, Callable[[Server, int], Answer | ProtocolError]] = {
    "block 0 instead": lambda s, n: s.block("/model", 0),
    "the next block": lambda s, n: s.block("/model", n + 1),
    "a short block": lambda s, n: replace(s.block("/model", n), payload=b"x" * 1000),
    "an empty block": lambda s, n: replace(s.block("/model", n), payload=b""),
    "a long block": lambda s, n: replace(s.block("/model", n), payload=b"x" * 1025),
    "half a block": lambda s, n: replace(s.block("/model", n), payload=b"x" * 512),
    "server error": lambda s, n: ResponseError(Code.SERVICE_UNAVAILABLE, ""),
    "overtaken": lambda s, n: ResponseError(Code.REQUEST_ENTITY_INCOMPLETE, ""),
    "too fast": lambda s, n: TooManyRequests(Code.TOO_MANY_REQUESTS, "", 1.0),
}


@pytest.mark.parametrize("accident", HEALING.values(), ids=HEALING.keys())
@pytest.mark.parametrize("in_flight", [1, 4])
async def test_a_bad_answer_is_asked_for_again(
    device: Device, model: bytes, accident: Callable[..., Answer | ProtocolError], in_flight: int
) -> None:
    device.restart(in_flight)
    device.server.accident = once(100, accident)
    package = device.publish("ai-model", model)
    await device.fetch(package)
    assert device.content(package) == model
    assert Counter(device.server.numbers()) == Counter(range(201)) + Counter([100])


async def test_what_the_link_spoiled_heals_by_one_more_download(
    device: Device, model: bytes
) -> None:
    spoiled = bytes(1024)
    device.server.accident = once(7, lambda s, n: replace(s.block("/model", n), payload=spoiled))
    package = device.publish("ai-model", model)
    await device.fetch(package)
    assert device.content(package) == model
    assert len(device.server.asked) == 2 * 201


async def test_a_damaged_partial_file_heals_by_one_more_download(
    device: Device, model: bytes
) -> None:
    package = device.publish("ai-model", model)
    device.server.accident = lost_at(150)
    await refused(device, package)
    part = device.store.partial_path(package)
    part.write_bytes(bytes(1024) + part.read_bytes()[1024:])
    device.server.accident = no_accident
    await device.fetch(package)
    assert device.content(package) == model


@pytest.mark.parametrize("in_flight", [1, 4])
async def test_a_replaced_artifact_starts_over(
    device: Device, model: bytes, in_flight: int
) -> None:
    """The server first has other bytes of the same length under that path."""
    device.restart(in_flight)
    package = device.publish("ai-model", model)
    old = bytes(len(model))
    device.server.artifacts["/model"], device.server.etags["/model"] = old, b"old"

    def replaced(server: Server, number: int, time: int) -> None:
        if number == 100:
            server.artifacts["/model"], server.etags["/model"] = model, b"new"

    device.server.accident = replaced
    await device.fetch(package)
    assert device.content(package) == model
    assert len(device.server.asked) <= 100 + 201 + 2 * in_flight


async def test_a_replaced_artifact_is_noticed_after_a_restart(device: Device, model: bytes) -> None:
    package = device.publish("ai-model", model)
    device.server.etags["/model"] = b"old"
    device.server.accident = lost_at(100)
    await refused(device, package)
    device.restart()
    device.server.etags["/model"] = b"new"
    device.server.accident = no_accident
    device.server.asked.clear()
    await device.fetch(package)
    assert device.server.numbers() == [100, *range(201)]


@pytest.mark.parametrize("in_flight", [1, 4])
async def test_a_server_with_smaller_blocks_is_followed(
    device: Device, model: bytes, in_flight: int
) -> None:
    """The original took each 512-byte answer for 1024 bytes and installed half a file."""
    device.restart(in_flight)
    device.server.largest = 5
    package = device.publish("ai-model", model)
    await device.fetch(package)
    assert device.content(package) == model
    assert len(device.server.asked) <= 401 + 2 * in_flight


async def test_a_server_whose_blocks_become_smaller_later_is_followed(
    device: Device, model: bytes
) -> None:
    package = device.publish("ai-model", model)
    device.server.accident = lost_at(100)
    await refused(device, package)
    device.server.largest = 4
    device.server.accident = no_accident
    device.server.asked.clear()
    await device.fetch(package)
    assert device.content(package) == model
    assert min(device.server.numbers()[2:]) == 400


async def test_a_clear_4_29_storm_is_ridden_out(device: Device, model: bytes) -> None:
    refusals = iter(range(8))

    def storm(server: Server, number: int, time: int) -> ProtocolError | None:
        if number == 50 and next(refusals, None) is not None:
            return TooManyRequests(Code.TOO_MANY_REQUESTS, "", None)
        return None

    device.server.accident = storm
    package = device.publish("ai-model", model)
    await device.fetch(package)
    assert device.content(package) == model


# Accidents that end the call.


def no_accident(server: Server, number: int, time: int) -> None:
    return None


def lost_at(number: int) -> Accident:
    return lambda server, asked, time: LinkLost("gone") if asked >= number else None


def always(make: Callable[[Server, int], Answer | ProtocolError]) -> Accident:
    return lambda server, asked, time: make(server, asked) if asked == 100 else None


OUTCOMES: list[tuple[str, Accident, Transient | Rejection]] = [
    ("link lost", lost_at(100), Transient.LINK_LOST),
    ("not found", always(lambda s, n: ResponseError(Code.NOT_FOUND, "")), Transient.NOT_FOUND),
    ("5.03", always(lambda s, n: ResponseError(Code.SERVICE_UNAVAILABLE, "")),
     Transient.SERVER_ERROR),
    ("4.08", always(lambda s, n: ResponseError(Code.REQUEST_ENTITY_INCOMPLETE, "")),
     Transient.SERVER_ERROR),
    ("4.03", always(lambda s, n: ResponseError(Code.FORBIDDEN, "")), Transient.SERVER_ERROR),
    ("4.29", always(lambda s, n: TooManyRequests(Code.TOO_MANY_REQUESTS, "", None)),
     Transient.SERVER_ERROR),
    ("block 0", always(lambda s, n: s.block("/model", 0)), Transient.SERVER_ERROR),
    ("short", always(lambda s, n: replace(s.block("/model", n), payload=b"x")),
     Transient.SERVER_ERROR),
    ("new ETag each time", lambda s, n, t: replace(s.block("/model", n), etag=bytes([n % 2])),
     Transient.SERVER_ERROR),
    ("other size now and then", always(lambda s, n: replace(s.block("/model", n), total_size=5)),
     Transient.SERVER_ERROR),
    ("other bytes each time",
     lambda s, n, t: replace(s.block("/model", n), payload=bytes([t]) * 1024) if n == 0 else None,
     Transient.SERVER_ERROR),
]  # fmt: skip


@pytest.mark.parametrize(
    ("accident", "reason"), [o[1:] for o in OUTCOMES], ids=[o[0] for o in OUTCOMES]
)
@pytest.mark.parametrize("in_flight", [1, 4])
async def test_what_does_not_heal_ends_with_its_reason(
    device: Device, model: bytes, accident: Accident, reason: Transient | Rejection, in_flight: int
) -> None:
    device.restart(in_flight)
    package = device.publish("ai-model", model)
    device.server.accident = accident
    outcome = await refused(device, package)
    assert outcome.reason is reason
    assert "/model" in outcome.detail
    assert len(device.server.asked) < 4 * 201
    assert device.server.under_way == 0

    device.server.accident = no_accident
    await device.fetch(package)
    assert device.content(package) == model


@pytest.mark.parametrize("states_size", [True, False])
@pytest.mark.parametrize("served", [100_000, 98 * 1024, 300_000, 0])
@pytest.mark.parametrize("in_flight", [1, 4])
async def test_an_artifact_of_another_size_is_refused_without_fetching_it_all(
    device: Device, model: bytes, states_size: bool, served: int, in_flight: int
) -> None:
    device.restart(in_flight)
    package = device.publish("ai-model", model)
    device.server.artifacts["/model"] = os.urandom(served)
    device.server.states_size = states_size
    outcome = await refused(device, package)
    assert outcome.reason is Rejection.SIZE_MISMATCH
    if states_size and served:
        assert len(device.server.asked) <= 2 * in_flight
    assert not device.store.has(package)


async def test_wrong_bytes_are_refused_after_exactly_one_more_download(
    device: Device, model: bytes
) -> None:
    package = device.publish("ai-model", model)
    device.server.artifacts["/model"] = model[:-1] + bytes([model[-1] ^ 1])
    outcome = await refused(device, package)
    assert outcome.reason is Rejection.HASH_MISMATCH
    assert len(device.server.asked) == 2 * 201
    assert not device.store.has(package)
    assert not device.store.partial_path(package).exists()

    # An operator's retry after publishing the right bytes starts with a clean slate.
    device.server.artifacts["/model"] = model
    await device.fetch(package)
    assert device.content(package) == model


@pytest.mark.parametrize(
    "uri", ["", "http://else.where/model", "coap:x", "//else.where/model", "data:,x"]
)
async def test_only_paths_on_the_connected_server_are_fetched(device: Device, uri: str) -> None:
    package = replace(device.publish("ai-model", b"x"), uri=uri)
    outcome = await refused(device, package)
    assert outcome.reason is Rejection.UNSUPPORTED_URI
    assert device.server.asked == []


async def test_an_artifact_beyond_the_last_block_number_is_refused(device: Device) -> None:
    package = replace(device.publish("ai-model", b"x"), size=2**30 + 1)
    outcome = await refused(device, package)
    assert outcome.reason is Rejection.TOO_LARGE
    assert device.server.asked == []


# Interruptions.


async def test_a_lost_link_costs_nothing_that_has_arrived(device: Device, model: bytes) -> None:
    package = device.publish("ai-model", model)
    for lost in (50, 120, 190):
        device.server.accident = lost_at(lost)
        await refused(device, package)
        device.restart()
    device.server.accident = no_accident
    await device.fetch(package)
    assert device.content(package) == model
    assert Counter(device.server.numbers()) == Counter(range(201)) + Counter([50, 120, 190])
    assert device.progress[-1] == (len(model), len(model))


async def test_a_cancelled_download_is_at_rest_and_goes_on_where_it_was(
    device: Device, model: bytes
) -> None:
    device.restart(in_flight=4)
    package = device.publish("ai-model", model)

    stopped = asyncio.Event()

    def stop(server: Server, number: int, time: int) -> None:
        if number == 100:
            server.held.clear()
            stopped.set()

    device.server.accident = stop
    task = asyncio.ensure_future(device.fetch(package))
    await stopped.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert device.server.under_way == 0
    arrived = device.progress[-1][0] // 1024
    assert arrived >= 97

    device.server.held.set()
    device.server.accident = no_accident
    device.server.asked.clear()
    device.restart()
    await device.fetch(package)
    assert device.server.numbers() == list(range(arrived, 201))
    assert device.content(package) == model


class SlowFiles(Files):
    """Syncs that last until they are let go."""

    def __init__(self) -> None:
        self.slow = False
        self.reached = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.ended = 0

    def sync_data(self, file: OpenFile) -> None:
        if self.slow:
            asyncio.run_coroutine_threadsafe(self._wait(), self.loop).result()
        super().sync_data(file)
        self.ended += 1

    async def _wait(self) -> None:
        self.reached.set()
        for _ in range(50):
            await asyncio.sleep(0)


async def test_a_cancellation_waits_for_the_disk(tmp_path: Path, model: bytes) -> None:
    files = SlowFiles()
    device = Device(tmp_path / "state", files=files)
    device.restart(pace=CheckpointPace(blocks=10))
    package = device.publish("ai-model", model)
    files.slow = True
    task = asyncio.ensure_future(device.fetch(package))
    await files.reached.wait()
    assert files.ended == 0
    files.slow = False
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The checkpoint's sync, and the last one when the file was closed.
    assert files.ended >= 1


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
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


async def test_a_really_full_disk_heals_when_space_is_freed(small_disk: Path) -> None:
    device = Device(small_disk / "state")
    package = device.publish("ai-model", os.urandom(900 * 1024))
    ballast = small_disk / "ballast"

    def fill(server: Server, number: int, time: int) -> None:
        if number == 400 and not ballast.exists():
            fill_up(ballast)

    device.server.accident = fill
    outcome = await refused(device, package)
    assert outcome.reason is Transient.DISK_FULL
    assert str(small_disk) in outcome.detail
    outcome = await refused(device, package)
    assert outcome.reason is Transient.DISK_FULL

    ballast.unlink()
    device.server.accident = no_accident
    asked = len(device.server.asked)
    await device.fetch(package)
    assert len(device.server.asked) - asked < 900 - 400 + 8
    assert device.content(package) == device.server.artifacts["/model"]


async def test_the_reserve_is_left_alone(small_disk: Path) -> None:
    device = Device(small_disk / "state", reserve=512 * 1024)
    package = device.publish("ai-model", bytes(600 * 1024))
    outcome = await refused(device, package)
    assert outcome.reason is Transient.DISK_FULL
    assert device.server.asked == []


async def test_a_disk_that_fills_up_meanwhile_stops_before_the_reserve(small_disk: Path) -> None:
    device = Device(small_disk / "state", reserve=256 * 1024)
    device.restart(pace=CheckpointPace(blocks=16))
    package = device.publish("ai-model", bytes(600 * 1024))

    def fill(server: Server, number: int, time: int) -> None:
        (small_disk / "ballast").write_bytes(bytes(400 * 1024))

    device.server.accident = fill
    outcome = await refused(device, package)
    assert outcome.reason is Transient.DISK_FULL
    assert "reserve" in outcome.detail
    space = os.statvfs(small_disk)
    assert space.f_bavail * space.f_frsize > 200 * 1024


# Power cuts.


@pytest.mark.parametrize("in_flight", [1, 8])
def test_after_any_number_of_sigkills_the_file_is_whole_and_little_was_fetched_twice(
    tmp_path: Path, in_flight: int
) -> None:
    length = 1200 * 1024 + 11
    blocks, kills, chance = 1201, 10, random.Random(in_flight)
    asked: Counter[int] = Counter()
    finished = False
    for _ in range(kills):
        finished = run_child(tmp_path, length, in_flight, chance.randrange(1, 220), asked)
        assert not finished
    assert run_child(tmp_path, length, in_flight, None, asked)

    assert set(asked) == set(range(blocks))
    twice = sum(asked.values()) - blocks
    # One checkpoint, and what was under way, for each kill.
    assert twice <= kills * (CheckpointPace().blocks + in_flight)
    expected = random.Random(length).randbytes(length)
    blob = tmp_path / "blobs" / hashlib.sha256(expected).hexdigest()
    assert blob.read_bytes() == expected
    assert list((tmp_path / "partial").iterdir()) == []


def run_child(
    state_dir: Path, length: int, in_flight: int, kill_after: int | None, asked: Counter[int]
) -> bool:
    """Let a process download, SIGKILL it after so many requests; whether it finished."""
    arguments = [sys.executable, str(CHILD), str(state_dir), str(length), str(in_flight)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        for count, line in enumerate(child.stdout, start=1):
            if line == "done\n":
                continue
            if line.endswith("\n"):
                asked[int(line)] += 1
            if count == kill_after:
                child.send_signal(signal.SIGKILL)
    return child.returncode == 0


# The parts alone.

GOOD = Answer(3, True, b"x" * 1024, 10 * 1024)
EXPECTED = Expected(3, 1024, 10 * 1024, b"e")
LAST = Expected(9, 1024, 9 * 1024 + 100, None)


@pytest.mark.parametrize(
    ("answer", "expected", "verdict"),
    [
        (GOOD, EXPECTED, Verdict.GOOD),
        (replace(GOOD, etag=b"e"), EXPECTED, Verdict.GOOD),
        (replace(GOOD, etag=b"f"), EXPECTED, Verdict.OTHER_ARTIFACT),
        (replace(GOOD, etag=b"f"), replace(EXPECTED, etag=None), Verdict.GOOD),
        (replace(GOOD, total_size=None), EXPECTED, Verdict.GOOD),
        (replace(GOOD, total_size=10 * 1024 + 1), EXPECTED, Verdict.OTHER_SIZE),
        (replace(GOOD, total_size=0), EXPECTED, Verdict.OTHER_SIZE),
        (replace(GOOD, number=0), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, number=0, total_size=5), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, payload=b"x" * 1025), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, payload=b"x" * 1000), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, payload=b""), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, payload=b"x" * 8), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, payload=b"x" * 512), EXPECTED, Verdict.SMALLER_BLOCKS),
        (replace(GOOD, payload=b"x" * 512, number=6), EXPECTED, Verdict.SMALLER_BLOCKS),
        (replace(GOOD, payload=b"x" * 512, number=5), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, more=False), EXPECTED, Verdict.OTHER_SIZE),
        (replace(GOOD, more=False, payload=b"x" * 5), EXPECTED, Verdict.OTHER_SIZE),
        (Answer(9, False, b"x" * 100), LAST, Verdict.GOOD),
        (Answer(9, True, b"x" * 1024), LAST, Verdict.OTHER_SIZE),
        (Answer(9, False, b"x" * 99), LAST, Verdict.OTHER_SIZE),
        (Answer(9, False, b"x" * 101), LAST, Verdict.OTHER_SIZE),
    ],
)
def test_an_answer_is_judged_by_everything_it_says(
    answer: Answer, expected: Expected, verdict: Verdict
) -> None:
    found, why = judge(answer, expected)
    assert found is verdict
    assert bool(why) == (verdict is not Verdict.GOOD)


async def test_the_engine_leaves_nothing_running_when_the_work_fails() -> None:
    server = Server()
    server.artifacts["/model"] = bytes(100 * 1024)

    class Work:
        def __init__(self) -> None:
            self.number = 0

        def take(self) -> BlockRequest | None:
            self.number += 1
            return BlockRequest("/model", self.number, 6, "", 0)

        async def deliver(self, request: BlockRequest, block: object) -> None:
            raise ZeroDivisionError

        def failed(self, request: BlockRequest, error: ProtocolError) -> None:
            raise error

    with pytest.raises(ZeroDivisionError):
        await FixedWindow(server, 8).run(Work())
    assert server.under_way == 0
    assert len(asyncio.all_tasks()) == 1
