"""Engines that die, hang or answer nonsense while they serve."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_models import TinyModel
from tests.support.worker_client import write_release
from tests.support.worker_harness import RunningWorker, assert_balanced, running_worker


async def _signal_engine(worker: RunningWorker, number: signal.Signals) -> int:
    pid = int((await worker.client.call("status"))["engine"]["pid"])
    os.kill(pid, number)
    return pid


async def _serving_again(worker: RunningWorker, release: str, old_pid: int) -> dict[str, Any]:
    def again(status: dict[str, Any]) -> bool:
        engine = status["engine"]
        return bool(engine and engine["pid"] != old_pid and status["release"] == release)

    return await worker.client.until(again)


async def test_a_killed_engine_is_reported_and_started_again(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        old = await _signal_engine(worker, signal.SIGKILL)
        event = await worker.client.event("engine-failed")
        assert (event["release"], event["reason"]) == ("a", "model-crashed")
        assert "SIGKILL" in event["detail"]
        status = await _serving_again(worker, "a", old)
        assert status["releases"]["a"]["errors"] == 1
        assert status["releases"]["a"]["dropped"] >= 1
        assert "SIGKILL" in status["last_error"]
        assert_balanced(status)


async def test_a_silent_engine_is_reported_and_replaced(tmp_path: Path) -> None:
    async with running_worker(tmp_path, frame_seconds=2) as worker:
        await worker.serve("a")
        old = await _signal_engine(worker, signal.SIGSTOP)
        event = await worker.client.event("engine-failed")
        assert event["reason"] == "model-hung"
        await _serving_again(worker, "a", old)
        with pytest.raises(ProcessLookupError):
            os.kill(old, 0)


async def test_frames_go_on_being_counted_while_no_engine_is_there(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        # Nothing can be loaded any more: every restart fails.
        (tmp_path / "releases" / "a" / "ai-model.tflite").write_bytes(b"rotten")
        await _signal_engine(worker, signal.SIGKILL)
        without = await worker.client.until(lambda now: now["state"] == "recovering")
        status = await worker.client.until(lambda now: now["dropped"] > without["dropped"] + 2)
        assert (status["engine"], status["classified"]) == (None, without["classified"])
        assert_balanced(status)


async def test_a_release_that_keeps_failing_gives_way_to_the_one_before(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        (tmp_path / "previous").symlink_to("releases/a")
        await worker.serve("b")
        old = await _signal_engine(worker, signal.SIGKILL)
        # Nothing can be loaded any more: every restart fails.
        (tmp_path / "releases" / "b" / "ai-model.tflite").write_bytes(b"rotten")
        event = await worker.client.event("fell-back")
        assert (event["release"], event["previous"]) == ("a", "b")
        status = await _serving_again(worker, "a", old)
        assert status["releases"]["b"]["errors"] == 3
        assert_balanced(status)


async def test_a_release_without_one_before_is_tried_again_and_again(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        model = tmp_path / "releases" / "a" / "ai-model.tflite"
        good = model.read_bytes()
        model.write_bytes(b"rotten")
        old = await _signal_engine(worker, signal.SIGKILL)
        await worker.client.until(lambda now: now["errors"] >= 3)
        assert (await worker.client.call("status"))["state"] == "recovering"
        model.write_bytes(good)
        await _serving_again(worker, "a", old)


async def test_another_release_may_take_over_while_one_is_being_recovered(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        (tmp_path / "releases" / "a" / "ai-model.tflite").write_bytes(b"rotten")
        await _signal_engine(worker, signal.SIGKILL)
        await worker.client.until(lambda now: now["errors"] >= 2)
        await worker.serve("b")
        status = await worker.classified(3)
        assert (status["state"], status["release"]) == ("serving", "b")


async def test_the_worker_serves_the_current_release_when_it_starts(tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(write_release(tmp_path, "a", TinyModel()))
    async with running_worker(tmp_path) as worker:
        status = await worker.classified(3)
        assert (status["state"], status["release"]) == ("serving", "a")


async def test_preparing_the_current_release_while_it_loads_joins_in(tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(write_release(tmp_path, "a", TinyModel()))
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        status = await worker.classified(3)
        assert (status["release"], status["errors"]) == ("a", 0)


async def test_a_broken_current_release_is_reported_and_another_one_waited_for(
    tmp_path: Path,
) -> None:
    (tmp_path / "current").symlink_to(write_release(tmp_path, "broken", b"rotten"))
    async with running_worker(tmp_path) as worker:
        status = await worker.client.until(lambda now: now["last_error"])
        assert "broken" in status["last_error"]
        assert status["state"] == "waiting"
        await worker.serve("b")


async def test_a_current_link_that_leads_nowhere_is_reported(tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(tmp_path / "releases" / "gone")
    async with running_worker(tmp_path) as worker:
        status = await worker.client.until(lambda now: now["last_error"])
        assert "gone" in status["last_error"]


async def test_a_release_the_agent_left_for_good_does_not_come_back(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("rejected")
        await worker.serve("a")
        (tmp_path / "releases" / "a" / "ai-model.tflite").write_bytes(b"rotten")
        await _signal_engine(worker, signal.SIGKILL)
        status = await worker.client.until(lambda now: now["errors"] >= 4)
        assert (status["state"], status["release"]) == ("recovering", "a")
