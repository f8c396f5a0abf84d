"""Settings over real DTLS: from the operator's call to the part that goes by them, and back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from functools import partial

import pytest

from agent.remote.live_settings import LiveSettings
from agent.service.logs import STANDARD_ERROR
from tests.support.cloud import Json
from tests.support.device_and_cloud import RemoteDevice
from tests.support.waiting import until
from tests.support.worker_harness import RunningWorker, running_worker


@pytest.fixture
def standard_error() -> Iterator[logging.Handler]:
    root, handler = logging.getLogger(), logging.StreamHandler()
    before = root.level
    handler.name = STANDARD_ERROR
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


async def synced(device: RemoteDevice, status: str) -> dict[str, int]:
    """Wait for that status of an answered version; the errors by key."""

    async def look() -> Json | None:
        sync = await device.sync()
        answered = "not answered" not in sync["statusDetail"]
        return sync if sync["status"] == status and answered else None

    sync = await until(look)
    return {error["key"]: error["code"] for error in sync["errors"]}


async def test_every_kind_of_wrong_value_is_told_and_the_good_ones_are_applied(
    device: RemoteDevice,
) -> None:
    wrong = {
        "NO_SUCH_KEY": ("integer", 1, 1),
        "UPDATE_WINDOW_ERRORS": ("string", "none", 3),
        "UPDATE_WINDOW_RESTARTS": ("float", 2.0, 3),
        "UPDATE_WINDOW_SCENE_CHANGES": ("boolean", True, 3),
        "UPDATE_WINDOW_LEAST_FRAMES": ("integer", 0, 4),
        "UPDATE_WINDOW_AGREEMENT": ("float", 1.5, 4),
        "SAMPLES_ON": ("integer", 1, 3),
        "LOG_LEVEL": ("string", "x" * 500, 4),
    }
    for key, (kind, value, _code) in wrong.items():
        await device.set(key, kind, value)
    await device.set("UPDATE_WINDOW_FRAMES", "integer", 7)
    await device.set("UPDATE_GOLDEN_MARGIN", "float", 1)  # a whole number
    async with device.agent() as agent:
        told = await synced(device, "out-of-sync")
        assert told == {key: code for key, (_, _, code) in wrong.items()}
        assert agent.live.current.policy().window.frames == 7
        assert agent.live.current.update.golden_margin == 1.0
        status = await asyncio.to_thread(device.status)
        assert status["settings"]["in_force"] == {
            "UPDATE_GOLDEN_MARGIN": 1.0,
            "UPDATE_WINDOW_FRAMES": 7,
        }
        for key in wrong:
            await device.unset(key)
        assert await synced(device, "in-sync") == {}


async def test_what_was_set_holds_offline_after_a_restart_and_until_it_is_removed(
    device: RemoteDevice,
) -> None:
    await device.set("UPDATE_WINDOW_FRAMES", "integer", 7)
    async with device.agent():
        await synced(device, "in-sync")
    nowhere = {"uri": "coaps://127.0.0.1:9"}
    async with device.agent(golioth=nowhere) as offline:
        assert offline.live.current.update.window_frames == 7
    async with device.agent() as agent:
        await device.unset("UPDATE_WINDOW_FRAMES")
        await until(lambda: _says(agent.live, 5))
    async with device.agent() as agent:
        assert agent.live.current.update.window_frames == 5


async def _captures(worker: RunningWorker) -> bool:
    return bool((await worker.client.call("capture"))["on"])


async def _says(live: LiveSettings, frames: int) -> bool:
    return live.current.update.window_frames == frames


async def test_the_parts_go_by_what_was_set_without_a_restart(
    device: RemoteDevice, standard_error: logging.Handler
) -> None:
    async with (
        running_worker(device.state_dir, frames_per_second=50) as worker,
        device.agent(update={"window_frames": 10_000}, download={"bytes_per_second": 1000}),
    ):
        # A download that would take minutes, and a window that would take more.
        await device.deploy("1", trailing_bytes=200_000)

        async def fetching() -> bool:
            status = await asyncio.to_thread(device.status)
            return status["state"] == "downloading" and bool(status["target"]["bytes_done"])

        await until(fetching)
        await device.set("UPDATE_WINDOW_FRAMES", "integer", 3)
        await device.set("SAMPLES_ON", "boolean", True)
        await device.set("LOG_LEVEL", "string", "error")
        await device.set("DOWNLOAD_BYTES_PER_SECOND", "integer", 0)

        async def served() -> bool:
            return bool(await device.state("edgeferry/state") == "idle")

        await until(served)
        story = await worker.client.call("capture")
        assert story["on"] is True
        assert standard_error.level == logging.ERROR
        await device.unset("SAMPLES_ON")

        async def off() -> bool:
            return not (await worker.client.call("capture"))["on"]

        await until(off)


async def test_a_worker_that_starts_again_is_told_again(device: RemoteDevice) -> None:
    await device.set("SAMPLES_BELOW", "float", 0.25)
    await device.set("SAMPLES_ON", "boolean", True)
    async with device.agent():
        await synced(device, "in-sync")
        for _life in range(2):
            async with running_worker(device.state_dir) as worker:
                await until(partial(_captures, worker))
