"""The downloader on real files: the plain way, interruptions and power cuts."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.download.checkpoint import CheckpointPace
from agent.download.transfer import TRIES_PER_BLOCK
from agent.store.files import Files, OpenFile
from tests.support.downloading import (
    Answer,
    Device,
    Server,
    lost_at,
    no_accident,
    refused,
)

CHILD = Path(__file__).with_name("downloading_child.py")


async def test_an_artifact_arrives_as_it_was_published(device: Device, model: bytes) -> None:
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
    wrong: Counter[int] = Counter()

    class Shuffled(Server):
        async def get_block(self, uri: str, number: int, size_exponent: int = 6) -> Answer:
            for _ in range(chance.randrange(8)):
                await asyncio.sleep(0)
            # A late answer to an earlier request, as the original took for the next block; never
            # so often to the same one that the server counts as broken.
            if chance.random() < 0.1 and wrong[number] < TRIES_PER_BLOCK - 1:
                wrong[number] += 1
                return self.block(uri, chance.randrange(40), size_exponent)
            return await super().get_block(uri, number, size_exponent)

    device.server = Shuffled()
    device.restart(in_flight)
    content = chance.randbytes(40_000)
    package = device.publish("ai-model", content)
    await device.fetch(package)
    assert device.content(package) == content


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


@pytest.mark.parametrize("in_flight", [1, 8])
def test_after_any_number_of_sigkills_the_file_is_whole_and_little_was_fetched_twice(
    tmp_path: Path, in_flight: int
) -> None:
    length = 1200 * 1024 + 11
    blocks, kills, chance = 1201, 6, random.Random(in_flight)
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
