"""The release before, kept warm through the commit window: real models in real processes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.golden import red_pictures
from tests.support.tiny_models import TinyModel, reversed_colours
from tests.support.worker_harness import RunningWorker, assert_balanced, engine_pids, running_worker


async def watch(
    worker: RunningWorker, release: str, model: TinyModel | bytes | None = None
) -> dict[str, Any]:
    await worker.prepare(release, model)
    return await worker.client.call("commit", release=release, watch=True)


async def compared(worker: RunningWorker, count: int) -> dict[str, Any]:
    """The status once that many frames were classified by both."""

    def enough(status: dict[str, Any]) -> bool:
        return bool(status["comparison"]["compared"] >= count)

    return await worker.client.until(enough)


async def test_a_watched_release_is_compared_with_the_one_before_on_the_same_frames(
    tmp_path: Path,
) -> None:
    async with running_worker(tmp_path, source=red_pictures(tmp_path)) as worker:
        await worker.serve("a")
        await worker.classified(2)
        committed = await watch(worker, "b", reversed_colours())
        assert committed["shadow"] == "a"
        comparison = (await compared(worker, 5))["comparison"]
    assert (comparison["release"], comparison["previous"]) == ("b", "a")
    assert (comparison["same_frames"], comparison["shadowing"]) == (True, True)
    assert (comparison["agreed"], comparison["why_not"]) == (0, None)
    for side, label in (("candidate", "green"), ("previous_side", "red")):
        shown = comparison[side]
        assert shown["classes"] == {label: comparison["compared"]}
        assert shown["captured"] == shown["classified"] == comparison["compared"]
        assert sum(shown["confidence"]["histogram"]) == comparison["compared"]
        assert 0.5 < shown["confidence"]["mean"] <= 1
        assert shown["inference_ms"]["p50"] > 0


async def test_releases_that_answer_alike_agree_on_every_frame(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        await watch(worker, "b", TinyModel())
        comparison = (await compared(worker, 5))["comparison"]
        assert comparison["agreed"] == comparison["compared"]
        later = comparison["later_half"]
        assert later["agreed"] == later["compared"] == comparison["compared"] // 2
        assert later["candidate"]["classified"] == later["compared"]


async def test_settling_ends_the_shadow_and_may_be_repeated(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        await watch(worker, "b")
        assert len(engine_pids()) == 2
        assert not (await worker.client.call("settle", release="a"))["settled"]
        assert (await worker.client.call("settle", release="b"))["settled"]
        assert not (await worker.client.call("settle", release="b"))["settled"]
        assert len(engine_pids()) == 1
        status = await worker.classified(3)
        assert (status["release"], status["comparison"]) == ("b", None)
        assert_balanced(status)


async def test_going_back_to_the_shadow_is_a_switch_to_the_same_warm_engine(
    tmp_path: Path,
) -> None:
    async with running_worker(tmp_path, frames_per_second=50) as worker:
        await worker.serve("a")
        warm = (await worker.classified(1))["engine"]["pid"]
        await watch(worker, "b")
        await compared(worker, 2)
        assert (await worker.prepare("a"))["ready"]
        back = await worker.client.call("commit", release="a")
        assert (back["already"], back["shadow"]) == (False, None)
        status = await worker.classified(3)
        assert (status["release"], status["engine"]["pid"]) == ("a", warm)
        assert (status["comparison"], status["fell_back"]) == (None, None)
        assert engine_pids() == {warm}
        assert_balanced(status)


async def test_the_first_release_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        assert (await watch(worker, "a"))["shadow"] is None
        assert (await worker.classified(1))["comparison"] is None


async def test_when_a_watched_engine_dies_the_one_before_takes_its_frame(tmp_path: Path) -> None:
    async with running_worker(tmp_path, frames_per_second=50) as worker:
        await worker.serve("a")
        warm = (await worker.classified(1))["engine"]["pid"]
        await watch(worker, "b")
        await compared(worker, 1)
        candidate = (await worker.client.call("status"))["engine"]["pid"]
        os.kill(candidate, signal.SIGKILL)
        event = await worker.client.event("fell-back")
        assert (event["release"], event["previous"]) == ("a", "b")
        status = await worker.classified(3)
        assert (status["release"], status["engine"]["pid"]) == ("a", warm)
        fell_back = status["fell_back"]
        assert (fell_back["from"], fell_back["to"]) == ("b", "a")
        assert fell_back["reason"] == "model-crashed"
        assert "SIGKILL" in fell_back["detail"]
        assert not status["comparison"]["shadowing"]
        assert (status["releases"]["b"]["errors"], status["comparison"]["compared"] > 0) == (
            1,
            True,
        )
        assert_balanced(status)
        await worker.serve("c")
        assert (await worker.client.call("status"))["fell_back"] is None


@asynccontextmanager
async def silenced(folder: Path, **settings: Any) -> AsyncIterator[tuple[RunningWorker, int]]:
    """A worker that has just left its stopped engine for the one before; and that engine's id."""
    async with running_worker(folder, watched_frame_seconds=0.2, **settings) as worker:
        await worker.serve("a")
        await worker.classified(1)
        await watch(worker, "b")
        await compared(worker, 1)
        stopped = (await worker.client.call("status"))["engine"]["pid"]
        os.kill(stopped, signal.SIGSTOP)
        status = await worker.client.until(lambda now: now["fell_back"])
        assert (status["release"], status["fell_back"]["reason"]) == ("a", "engine-silent")
        assert "silent for 0.2 s" in status["fell_back"]["detail"]
        yield worker, stopped
        assert_balanced(await worker.classified(3))


async def reason_of_the_fall(worker: RunningWorker) -> str:
    """Why the worker went back, once that is known."""
    status = await worker.client.until(lambda now: now["fell_back"]["reason"] != "engine-silent")
    assert status["release"] == "a"
    return str(status["fell_back"]["reason"])


async def test_when_a_watched_engine_hangs_the_one_before_serves_soon(tmp_path: Path) -> None:
    async with silenced(tmp_path, frame_seconds=1) as (worker, stopped):
        assert await reason_of_the_fall(worker) == "model-hung"
        assert stopped not in engine_pids()
        assert "silent for 1 s" in (await worker.client.call("status"))["last_error"]


async def test_a_watched_engine_that_answers_after_all_was_only_late(tmp_path: Path) -> None:
    async with silenced(tmp_path, frame_seconds=60) as (worker, stopped):
        os.kill(stopped, signal.SIGCONT)
        assert await reason_of_the_fall(worker) == "engine-late"
        status = await worker.client.call("status")
        assert "s later" in status["fell_back"]["detail"]
        assert (status["last_error"], stopped in engine_pids()) == (None, False)


async def test_a_watched_engine_that_dies_while_it_is_heard_out_crashed(tmp_path: Path) -> None:
    async with silenced(tmp_path, frame_seconds=60) as (worker, stopped):
        os.kill(stopped, signal.SIGKILL)
        assert await reason_of_the_fall(worker) == "model-crashed"


async def test_another_release_ends_the_hearing_of_a_silent_one(tmp_path: Path) -> None:
    async with silenced(tmp_path, frame_seconds=60) as (worker, stopped):
        await worker.serve("c")
        status = await worker.classified(1)
        assert (status["release"], status["fell_back"]) == ("c", None)
        assert stopped not in engine_pids()


async def test_after_the_window_silence_is_borne_as_long_as_ever(tmp_path: Path) -> None:
    async with running_worker(tmp_path, frame_seconds=60, watched_frame_seconds=0.1) as worker:
        await worker.serve("a")
        await worker.classified(1)
        await watch(worker, "b")
        await compared(worker, 1)
        await worker.client.call("settle", release="b")
        pid = (await worker.client.call("status"))["engine"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        paused = await worker.client.call("status")
        await worker.client.until(lambda now: now["dropped"] >= paused["dropped"] + 10)
        os.kill(pid, signal.SIGCONT)
        status = await worker.classified(paused["releases"]["b"]["classified"] + 3)
        assert (status["release"], status["errors"]) == ("b", 0)


async def test_another_release_supersedes_a_watched_one_while_it_is_being_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without frames a commit waits for its first one, which leaves time to come between.
    monkeypatch.setattr("agent.worker.engines.swap.FIRST_FRAME_SECONDS", 0.5)
    async with running_worker(tmp_path, source="dir:/nowhere") as worker:
        await worker.serve("a")
        await worker.prepare("b")
        committing = asyncio.create_task(worker.client.call("commit", release="b", watch=True))
        await worker.client.until(lambda now: now["state"] == "switching")
        assert (await watch(worker, "c"))["shadow"] == "b"
        assert (await committing)["shadow"] == "a"
        status = await worker.client.call("status")
        assert (status["release"], status["candidate"]) == ("c", None)
        assert len(engine_pids()) == 2


async def test_a_shadow_that_dies_harms_nothing(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        warm = (await worker.classified(1))["engine"]["pid"]
        await watch(worker, "b")
        await compared(worker, 1)
        os.kill(warm, signal.SIGKILL)
        status = await worker.client.until(lambda now: not now["comparison"]["shadowing"])
        comparison = status["comparison"]
        assert "model-crashed" in comparison["why_not"]
        assert (comparison["previous_side"]["errors"], comparison["candidate"]["errors"]) == (1, 0)
        status = await worker.classified(status["releases"]["b"]["classified"] + 2)
        assert (status["release"], status["errors"], status["fell_back"]) == ("b", 0, None)
        assert_balanced(status)


async def test_another_release_supersedes_a_watched_one(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        await watch(worker, "b")
        assert (await watch(worker, "c"))["shadow"] == "b"
        comparison = (await compared(worker, 2))["comparison"]
        assert (comparison["release"], comparison["previous"]) == ("c", "b")
        assert len(engine_pids()) == 2


async def test_withdrawing_ends_the_shadow_too(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        await watch(worker, "b")
        await worker.client.call("withdraw")
        assert engine_pids() == set()
        assert (await worker.client.call("status"))["comparison"] is None
