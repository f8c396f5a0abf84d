"""Swaps of real models in real engine processes, frame by frame."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from agent.worker.choices import RuntimeName
from tests.support.golden import red_pictures
from tests.support.runtimes import RUNTIMES
from tests.support.tiny_models import TinyModel, reversed_colours
from tests.support.worker_client import Refused, write_release
from tests.support.worker_harness import RunningWorker, assert_balanced, engine_pids, running_worker


def priorities_of(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sorted(os.getpriority(os.PRIO_PROCESS, int(thread.name)) for thread in threads)


async def test_without_a_release_the_worker_waits(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        status = await worker.client.call("status")
        assert (status["state"], status["release"]) == ("waiting", None)
        assert_balanced(status)


async def test_a_release_serves_once_committed(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        prepared = await worker.prepare("a")
        assert prepared["input"] == [1, 16, 16, 3]
        assert (await worker.client.call("status"))["state"] == "waiting"
        committed = await worker.client.call("commit", release="a")
        assert committed["gap_ms"] is None
        status = await worker.classified(3)
        assert (status["state"], status["release"]) == ("serving", "a")
        assert status["releases"]["a"]["first_classified_at"].endswith("Z")
        assert_balanced(status)


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_a_release_serves_on_every_runtime(tmp_path: Path, runtime: RuntimeName) -> None:
    async with running_worker(tmp_path, runtime=runtime) as worker:
        await worker.serve("a")
        status = await worker.classified(3)
        assert status["engine"]["runtime"] == runtime
        assert status["errors"] == 0


async def test_an_unreadable_file_is_no_fault_of_the_release(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        folder = write_release(tmp_path, "a", TinyModel())
        (folder / "labels.txt").unlink()
        with pytest.raises(Refused) as caught:
            await worker.client.call("prepare", release="a", folder=str(folder))
        assert caught.value.reason == "unavailable"
        assert "labels.txt" in caught.value.detail


async def test_threads_of_the_runtime_serve_at_the_workers_priority(tmp_path: Path) -> None:
    async with running_worker(tmp_path, num_threads=2) as worker:
        await worker.serve("a", TinyModel(side=320, layers=3))
        await worker.classified(2)
        pid = (await worker.client.call("status"))["engine"]["pid"]
        # All but the thread that warms up and classifies along quietly.
        *serving, _quiet = priorities_of(pid)
        assert set(serving) == {os.getpriority(os.PRIO_PROCESS, 0)}


async def test_no_frame_is_lost_between_the_last_of_the_old_and_the_first_of_the_new(
    tmp_path: Path,
) -> None:
    async with running_worker(tmp_path, frames_per_second=20) as worker:
        await worker.serve("a")
        for release, model in [("b", reversed_colours()), ("a", None), ("b", None)]:
            await worker.classified(5)
            committed = await worker.serve(release, model)
            assert committed["gap_ms"] > 0
            before = await _unclassified(worker)
            status = await worker.client.call("status")
            assert_balanced(status)
            await worker.client.until(lambda now, was=status: now["classified"] > was["classified"])
            # Frames may be dropped when this machine is busy; but then they are counted.
            assert before <= status["dropped"] <= await _unclassified(worker)
            results = (await worker.client.call("results", limit=1000))["results"]
            gaps = [result["gap_ms"] for result in results]
            assert gaps[0] is None
            assert all(gap > 0 for gap in gaps[1:])


async def _unclassified(worker: RunningWorker) -> int:
    """Frames up to the last result that had a release to serve them and have no result."""
    unserved = (await worker.client.call("status"))["unserved"]
    results = (await worker.client.call("results", limit=1000))["results"]
    return int(results[-1]["frame"]) + 1 - int(unserved) - len(results)


async def test_each_result_comes_from_the_release_it_names(tmp_path: Path) -> None:
    async with running_worker(tmp_path, source=red_pictures(tmp_path)) as worker:
        await worker.serve("a")
        await worker.classified(3)
        await worker.serve("b", reversed_colours())
        await worker.classified(3)
        results = (await worker.client.call("results", limit=1000))["results"]
    answers = {(result["release"], result["top"][0]["label"]) for result in results}
    assert answers == {("a", "red"), ("b", "green")}
    releases = [result["release"] for result in results]
    assert releases == sorted(releases)


async def test_the_old_engine_is_gone_after_the_commit(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        old = (await worker.client.call("status"))["engine"]["pid"]
        await worker.serve("b")
        assert old not in engine_pids()


async def test_prepare_and_commit_may_be_repeated(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        first, second = await asyncio.gather(worker.prepare("a"), worker.prepare("a"))
        assert first == second
        assert len(engine_pids()) == 1
        await worker.client.call("commit", release="a")
        assert (await worker.client.call("commit", release="a"))["already"]
        assert (await worker.prepare("a"))["serving"]
        assert len(engine_pids()) == 1


async def test_a_second_prepare_supersedes_the_first(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        write_release(tmp_path, "slow", TinyModel(side=1024, layers=60, data_type="float32"))
        slow = asyncio.create_task(worker.prepare("slow"))
        await worker.client.until(lambda status: status["candidate"])
        await worker.prepare("b")
        with pytest.raises(Refused) as caught:
            await slow
        assert caught.value.reason == "busy"
        assert (await worker.client.call("commit", release="b"))["release"] == "b"


async def test_only_a_prepared_release_can_be_committed(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.prepare("a")
        with pytest.raises(Refused, match="not-prepared"):
            await worker.client.call("commit", release="b")
        assert (await worker.client.call("abort", release="a"))["aborted"]
        with pytest.raises(Refused, match="not-prepared"):
            await worker.client.call("commit", release="a")
        assert not (await worker.client.call("abort", release="a"))["aborted"]


@pytest.mark.parametrize(
    ("model", "labels", "reason"),
    [
        (TinyModel(), "red\n", "label-count-mismatch"),
        (TinyModel(), "red\n\ngreen\n", "labels-invalid"),
        (TinyModel(channels=1), "red\ngreen\n", "model-unsupported"),
        (b"<html>", "red\ngreen\n", "model-invalid"),
    ],
)
async def test_a_bad_release_is_refused_and_the_active_one_serves_on(
    tmp_path: Path, model: TinyModel | bytes, labels: str, reason: str
) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        folder = write_release(tmp_path, "bad", model, labels)
        with pytest.raises(Refused) as caught:
            await worker.client.call("prepare", release="bad", folder=str(folder))
        assert caught.value.reason == reason
        status = await worker.classified(5)
        assert (status["release"], status["errors"]) == ("a", 0)
        assert_balanced(status)


async def test_withdrawing_ends_serving_and_counting(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        await worker.client.call("withdraw")
        status = await worker.client.call("status")
        assert (status["state"], status["release"], status["engine"]) == ("waiting", None, None)
        later = await worker.client.until(lambda now: now["frames"] > status["frames"] + 3)
        assert later["captured"] == status["captured"]
        assert_balanced(later)
        await worker.serve("a")


async def test_a_release_that_serves_again_counts_from_its_new_start(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        before = await worker.classified(10)
        await worker.serve("b")
        await worker.serve("a")
        status = await worker.client.call("status")
        first, again = before["releases"]["a"], status["releases"]["a"]
        assert again["first_classified_at"] > first["first_classified_at"]
        of_both = again["classified"] + status["releases"]["b"]["classified"]
        assert status["classified"] >= of_both + 10


async def test_a_candidate_that_dies_at_its_first_frame_gives_it_back(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        before = engine_pids()
        await worker.prepare("b")
        (candidate,) = engine_pids() - before
        os.kill(candidate, signal.SIGKILL)
        with pytest.raises(Refused) as caught:
            await worker.client.call("commit", release="b")
        assert caught.value.reason == "model-crashed"
        assert "SIGKILL" in caught.value.detail
        status = await worker.classified(5)
        assert (status["state"], status["release"]) == ("serving", "a")
        # Until its end is known, on a busy machine, newer frames may push out those it was given.
        tally = status["releases"]["b"]
        assert (tally["classified"], tally["captured"]) == (0, tally["dropped"])
        assert status["releases"]["b"]["errors"] == 1
        assert_balanced(status)


async def test_a_release_takes_over_from_one_that_hangs_and_takes_its_frame(tmp_path: Path) -> None:
    async with running_worker(tmp_path, frame_seconds=60) as worker:
        await worker.serve("a")
        hanging = (await worker.classified(1))["engine"]["pid"]
        os.kill(hanging, signal.SIGSTOP)
        stopped = await worker.client.call("status")
        before = await worker.client.until(lambda now: now["dropped"] >= stopped["dropped"] + 3)
        await worker.serve("b")
        status = await worker.classified(3)
        assert (status["release"], status["errors"]) == ("b", 0)
        results = (await worker.client.call("results", limit=1000))["results"]
        first = next(result for result in results if result["release"] == "b")
        # At least two that came after it had been dropped by then.
        assert first["frame"] < before["frames"] - 2
        assert_balanced(status)


async def test_a_first_release_that_dies_at_its_first_frame_leaves_the_worker_waiting(
    tmp_path: Path,
) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.prepare("a")
        (candidate,) = engine_pids()
        os.kill(candidate, signal.SIGKILL)
        with pytest.raises(Refused, match="model-crashed"):
            await worker.client.call("commit", release="a")
        status = await worker.client.until(lambda now: now["state"] == "waiting")
        assert_balanced(status)


async def test_without_a_camera_a_release_can_still_take_over(tmp_path: Path) -> None:
    async with running_worker(tmp_path, source="dir:/nowhere") as worker:
        committed = await worker.serve("a")
        assert (committed["gap_ms"], committed["already"]) == (None, False)
        status = await worker.client.call("status")
        assert status["source"]["state"] == "failed"
        assert "/nowhere" in status["source"]["detail"]


async def test_subscribers_are_told_of_the_switch(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        await worker.serve("b")
        first, second = [await worker.client.event("switched") for _ in range(2)]
        assert (first["release"], first["previous"]) == ("a", None)
        assert (second["release"], second["previous"]) == ("b", "a")


async def test_statistics_are_told_regularly(tmp_path: Path) -> None:
    async with running_worker(tmp_path, statistics_seconds=0.05) as worker:
        await worker.serve("a")

        def told_of_a(event: dict[str, Any]) -> bool:
            return bool(event["release"] == "a")

        while not told_of_a(event := await worker.client.event("statistics")):
            pass
        assert_balanced(event)


async def test_what_serves_can_be_loaded_anew_without_losing_a_frame(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        with pytest.raises(Refused, match="no release is served"):
            await worker.client.call("reload")
        await worker.serve("a")
        before = await worker.classified(5)
        assert (await worker.client.call("reload"))["drained"] is False
        after = await worker.classified(before["classified"] + 5)
        assert after["engine"]["pid"] != before["engine"]["pid"]
        assert (after["release"], after["dropped"]) == ("a", before["dropped"])
        assert engine_pids() == {after["engine"]["pid"]}
