"""Models that pass their trial and misbehave in service: the whole device, with real processes."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from demo.stage import await_that
from tests.support.faults import LATE, RUNTIME, coloured_pictures, python_path, with_fault
from tests.support.tiny_models import TinyModel
from tests.support.waiting import PATIENCE
from tests.system.conftest import Bench

pytestmark = pytest.mark.system

QUICK_SECONDS, SLOW_SECONDS = 0.004, 0.05
MIB = 1 << 20
LEAKED_FRAMES = 600
"""Frames of a window in which an engine that loses a MiB with each is looked at and too large."""
ONE_CLASS = TinyModel(weights=((9, 9, 9), (0, 0, 0)))
WENT_BACK = "the worker went back to GOOD by itself: "
WHY = {
    "crash": f"{WENT_BACK}model-crashed: the engine was killed by SIGSEGV",
    "hang": f"{WENT_BACK}model-hung: the engine was silent for [0-9.]+ s",
    "nan": f"{WENT_BACK}model-invalid: it answered scores that are not finite numbers",
    # Which of its effects is seen first depends on the moment of the look.
    "slow": "clearly slower: 5|drops [4-9][0-9]",
    "one-class": "says 'red' to 100% of the frames",
    "leak": f"{WENT_BACK}model-leaks: the engine takes [0-9]+ MiB and may take 200",
}


@pytest.fixture
def serving(bench: Bench) -> Bench:
    """A device that serves a good model on coloured pictures; faults come true on it."""
    environment = {"PYTHONPATH": python_path()}
    bench.tables["worker"] = {
        "source": coloured_pictures(bench.folder / "pictures"),
        "picture_order": "shuffled",
        "frames_per_second": 80,
        "runtime": RUNTIME,
        "frame_seconds": 2,
        "engine_memory_bytes": 200 * MIB,
    }
    bench.tables["update"]["window_frames"] = 3 * LATE
    bench.device.configure(bench.tables)
    bench.device.start("worker", environment)
    start_agent(bench)
    bench.deploy("good", written(bench, "good", bad("slow", after=0, seconds=QUICK_SECONDS)))
    bench.await_served("good")
    return bench


def start_agent(bench: Bench, **more: str) -> None:
    bench.device.start("run", {"PYTHONPATH": python_path(), **more})


def bad(fault: str, after: int = LATE, **more: Any) -> bytes:
    return with_fault(TinyModel(data_type="float32").build(), fault, after, **more)


def written(bench: Bench, version: str, model: bytes) -> Path:
    path = bench.folder / f"{version}.tflite"
    path.write_bytes(model)
    return path


def test_each_is_caught_in_its_window_and_never_tried_again(serving: Bench) -> None:
    before = serving.await_served("good")
    good, engine = before["active"]["id"], before["worker"]["engine"]["pid"]
    models = {
        **{fault: bad(fault) for fault in ("crash", "hang", "nan")},
        "slow": bad("slow", seconds=SLOW_SECONDS),
        "one-class": ONE_CLASS.build(),
        "leak": bad("leak", bytes=MIB),
    }
    for number, (version, model) in enumerate(models.items(), 1):
        if version == "leak":
            serving.device.agent.stop()
            start_agent(serving, EDGEFERRY_UPDATE__WINDOW_FRAMES=str(LEAKED_FRAMES))
        serving.deploy(version, written(serving, version, model))
        status = refused(serving, number)
        rejection = status["rejected"][-1]
        assert rejection["reason"] == "commit-window-failed"
        assert re.search(WHY[version].replace("GOOD", good), rejection["detail"])
        # The engine that served before serves on: nothing had to be loaded, so no second was lost.
        assert (status["active"]["id"], status["worker"]["release"]) == (good, good)
        assert status["worker"]["engine"]["pid"] == engine
    outcomes = offered_again(serving, "leak")
    assert outcomes == ["confirmed", *["rolled-back"] * len(models)]


def refused(bench: Bench, count: int) -> dict[str, Any]:
    """The status once so many releases were refused."""
    return bench.device.await_status(
        f"{count} are refused",
        lambda s: len(s["rejected"]) == count and s["state"] == "idle",
        PATIENCE,
    )


def offered_again(bench: Bench, version: str) -> list[str]:
    """Restart the agent, deploy a version once more; outcomes of all updates."""
    bench.device.agent.stop()
    start_agent(bench)
    before = noted(bench)
    bench.deploy(version, bench.folder / f"{version}.tflite")
    await_that("the manifest is noted", lambda: noted(bench) != before, PATIENCE)
    bench.device.await_status("idle", lambda s: s["state"] == "idle", PATIENCE)
    updates = bench.device.inspect(lambda inspector: inspector.updates(99))
    return [update["outcome"] for update in updates]


def noted(bench: Bench) -> tuple[int, ...]:
    """Sequence number of the newest manifest that needed no update."""
    with closing(sqlite3.connect(bench.device.state_dir / "state.db")) as database:
        return tuple(row[0] for row in database.execute("SELECT sequence FROM manifest"))


def test_one_that_answers_late_once_is_tried_again(bench: Bench) -> None:
    bench.tables["worker"] |= {"frames_per_second": 50, "frame_seconds": 60}
    bench.tables["update"]["window_frames"] = 200
    bench.device.configure(bench.tables)
    bench.device.start("worker")
    bench.device.start("run")
    bench.deploy("1")
    bench.await_served("1")
    bench.deploy("2")
    status = bench.device.await_status(
        "both classify", lambda s: (s["worker"].get("comparison") or {}).get("compared"), PATIENCE
    )
    late, warm = status["worker"]["engine"]["pid"], status["previous"]["id"]
    os.kill(late, signal.SIGSTOP)
    went_back = bench.device.await_status(
        "the one before serves", lambda s: s["worker"]["fell_back"], PATIENCE
    )
    assert went_back["worker"]["release"] == warm
    os.kill(late, signal.SIGCONT)
    assert bench.await_served("2")["rejected"] == []
    transitions = bench.device.inspect(lambda inspector: inspector.history(99))
    (back,) = [each for each in transitions if each["event"] == "roll_back"]
    assert "by itself: engine-late: the engine was silent for" in back["detail"]
