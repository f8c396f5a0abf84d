"""Too little memory, and engines that take ever more of it."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from agent.worker.engines import memory
from agent.worker.engines.memory import Machine
from agent.worker.engines.process import resident_bytes
from tests.support.tiny_models import TinyModel
from tests.support.worker_client import Refused
from tests.support.worker_harness import (
    RunningWorker,
    assert_balanced,
    engine_pids,
    running_worker,
)

MIB = 1 << 20
TIGHT = 1


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """A kernel's files for a process in a cgroup below two others."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/system.slice/worker.service\n")
    (tmp_path / "meminfo").write_text("MemTotal: 900 kB\nMemAvailable: 500 kB\nHugePages: 0\n")
    (tmp_path / "cgroups" / "system.slice" / "worker.service").mkdir(parents=True)
    return tmp_path


def limit(level: Path, name: str, limit: str, current: int, files: int) -> None:
    (level / name).write_text(f"{limit}\n")
    (level / "memory.current").write_text(f"{current}\n")
    (level / "memory.stat").write_text(f"anon 5\ninactive_file {files}\nactive_file 0\n")


def test_without_limits_only_the_machine_counts(kernel: Path) -> None:
    machine = Machine(kernel, kernel / "cgroups")
    assert machine.available() == 500 << 10
    assert (machine.cgroup_limit(), machine.cgroup_room()) == (None, None)


def test_the_tightest_cgroup_counts_and_forgettable_files_do_not(kernel: Path) -> None:
    slice_ = kernel / "cgroups" / "system.slice"
    limit(slice_, "memory.max", "1000", current=600, files=100)
    limit(slice_ / "worker.service", "memory.high", "900", current=300, files=50)
    limit(slice_ / "worker.service", "memory.max", "max", current=300, files=50)
    machine = Machine(kernel, kernel / "cgroups")
    assert machine.cgroup_limit() == 900
    assert machine.cgroup_room() == 1000 - (600 - 100)


def test_a_kernel_that_tells_nothing_limits_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, tmp_path)
    assert (machine.available(), machine.cgroup_limit(), machine.cgroup_room()) == (None,) * 3


def test_the_memory_of_this_machine_can_be_told() -> None:
    machine = Machine()
    assert (machine.available() or 0) > MIB
    room, allowed = machine.cgroup_room(), machine.cgroup_limit()
    assert (room is None) == (allowed is None)


async def test_the_status_tells_what_everything_takes(tmp_path: Path) -> None:
    async with running_worker(tmp_path, memory_bytes=2 << 30) as worker:
        await worker.serve("a")
        await worker.prepare("b")
        told = (await worker.client.call("status"))["memory"]
        assert told["budget_bytes"] == 2 << 30
        assert told["worker_bytes"] > 10 * MIB
        assert set(told["engines"]) == {"a", "b"}
        assert all(10 * MIB < size < 500 * MIB for size in told["engines"].values())


async def test_without_memory_for_two_the_old_engine_goes_first_and_the_gap_is_told(
    tmp_path: Path,
) -> None:
    async with running_worker(tmp_path, memory_bytes=TIGHT, frames_per_second=50) as worker:
        assert not (await worker.serve("a"))["drained"]
        await worker.classified(3)
        assert (await worker.prepare("b"))["drained"]
        assert len(engine_pids()) == 1
        committed = await worker.client.call("commit", release="b", watch=True)
        assert (committed["drained"], committed["shadow"]) == (True, None)
        status = await worker.classified(3)
        assert len(engine_pids()) == 1
        # Frames came while there was no engine; they count for the release that left.
        assert status["releases"]["a"]["dropped"] >= 1
        assert committed["gap_ms"] > 20
        assert not status["comparison"]["shadowing"]
        assert "MiB" in status["comparison"]["why_not"]
        assert not status["comparison"]["same_frames"]
        assert status["comparison"]["previous_side"]["classified"] >= 3
        assert status["comparison"]["candidate"]["classified"] >= 3
        assert_balanced(status)


async def test_without_memory_a_release_with_missing_files_is_still_refused_beforehand(
    tmp_path: Path,
) -> None:
    async with running_worker(tmp_path, memory_bytes=TIGHT) as worker:
        await worker.serve("a")
        (tmp_path / "releases" / "b").mkdir()
        (tmp_path / "releases" / "b" / "ai-model.tflite").write_bytes(b"any")
        with pytest.raises(Refused, match=r"labels\.txt"):
            await worker.prepare("b")
        assert (await worker.classified(3))["release"] == "a"


async def test_when_the_release_that_was_made_room_for_does_not_load_the_old_one_comes_back(
    tmp_path: Path,
) -> None:
    async with running_worker(tmp_path, memory_bytes=TIGHT) as worker:
        await worker.serve("a")
        await worker.prepare("b", b"rotten")
        with pytest.raises(Refused, match="model-invalid"):
            await worker.client.call("commit", release="b")
        status = await worker.client.until(lambda now: now["state"] == "serving")
        status = await worker.classified(status["releases"]["a"]["classified"] + 3)
        assert (status["release"], "b" in status["releases"]) == ("a", False)
        assert_balanced(status)


async def test_a_shadow_makes_way_for_the_next_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        await worker.classified(1)
        await worker.prepare("b")
        await worker.client.call("commit", release="b", watch=True)
        assert len(engine_pids()) == 2
        monkeypatch.setattr(Machine, "available", lambda _self: 0)
        assert (await worker.prepare("c"))["drained"]
        comparison = (await worker.client.call("status"))["comparison"]
        assert "release c" in comparison["why_not"]
        assert len(engine_pids()) == 1


def grows(monkeypatch: pytest.MonkeyPatch, pid: int) -> None:
    """The kernel tells of an engine that it takes a gigabyte more than it did."""

    def size(asked: int | str) -> int:
        return resident_bytes(asked) + (asked == pid) * 1024 * MIB

    monkeypatch.setattr("agent.worker.engines.process.resident_bytes", size)


async def test_an_engine_that_grows_too_large_is_reported_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CHECK_SECONDS", 0.05)
    async with running_worker(tmp_path, engine_memory_bytes=1000 * MIB) as worker:
        await worker.serve("a")
        leaking = (await worker.classified(1))["engine"]["pid"]
        grows(monkeypatch, leaking)
        event = await worker.client.event("engine-failed")
        assert (event["release"], event["reason"]) == ("a", "model-leaks")
        assert "may take 1000" in event["detail"]
        status = await worker.client.until(lambda now: now["engine"])
        assert status["engine"]["pid"] != leaking
        assert_balanced(status)


async def test_a_watched_engine_that_grows_too_large_gives_way_to_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CHECK_SECONDS", 0.05)
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        await worker.classified(1)
        await worker.prepare("b")
        await worker.client.call("commit", release="b", watch=True)
        grows(monkeypatch, (await worker.client.call("status"))["engine"]["pid"])
        status = await worker.client.until(lambda now: now["fell_back"])
        assert (status["release"], status["fell_back"]["from"]) == ("a", "b")
        assert status["fell_back"]["reason"] == "model-leaks"
        assert_balanced(await worker.classified(3))


def of_process(pid: int | str, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


async def test_an_engine_is_ended_before_the_worker_when_memory_runs_out(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        (engine,) = engine_pids()
        assert int(of_process(engine, "oom_score_adj")) > int(of_process("self", "oom_score_adj"))


async def test_an_engine_has_neither_files_nor_network_once_its_model_is_opened(
    tmp_path: Path,
) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        sandbox = (await worker.classified(1))["engine"]["sandbox"]
        closed = [sandbox[what] for what in ("network", "filesystem", "system_calls")]
        (engine,) = engine_pids()
        filters = of_process(engine, "status").split("Seccomp:")[1].split()[0]
        assert (filters == "2") == sandbox["system_calls"].startswith("seccomp")
        assert all(closed)


def descriptors() -> int:
    gc.collect()  # event loops of earlier tests
    return len(list(Path("/proc/self/fd").iterdir()))


async def swaps(worker: RunningWorker, count: int) -> None:
    for number in range(count):
        release = "ab"[number % 2]
        await worker.prepare(release)
        await worker.client.call("commit", release=release, watch=number % 3 == 0)


async def test_memory_processes_and_descriptors_come_back_after_many_swaps(tmp_path: Path) -> None:
    async with running_worker(tmp_path, frames_per_second=100) as worker:
        await worker.prepare("b", TinyModel())
        await swaps(worker, 5)
        await worker.client.call("settle", release="a")
        before, open_before = resident_bytes("self"), descriptors()
        await swaps(worker, 12)
        await worker.client.call("settle", release="b")
        assert len(engine_pids()) == 1
        assert descriptors() == open_before
        assert resident_bytes("self") - before < 8 * MIB
