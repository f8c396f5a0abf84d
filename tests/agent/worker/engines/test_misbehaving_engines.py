"""Engines that are good while they are watched loading, and misbehave once they serve."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults import LATE, RUNTIME, coloured_pictures, python_path, with_fault
from tests.support.tiny_models import TinyModel
from tests.support.worker_harness import RunningWorker, assert_balanced, running_worker

FLOAT = TinyModel(data_type="float32")


@asynccontextmanager
async def serving_a(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[RunningWorker]:
    """A worker that serves a good release "a" on coloured pictures, in any order."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    scene = {
        "source": coloured_pictures(folder / "pictures"),
        "picture_order": "shuffled",
        "frames_per_second": 200,
        "runtime": RUNTIME,
    }
    async with running_worker(folder, **{**scene, **settings}) as worker:
        await worker.serve("a")
        await worker.classified(2)
        yield worker


async def watch_b(worker: RunningWorker, model: bytes) -> int:
    """Switch to release "b" in a commit window; returns the process id of a's engine."""
    warm = int((await worker.client.call("status"))["engine"]["pid"])
    await worker.prepare("b", model)
    committed = await worker.client.call("commit", release="b", watch=True)
    assert committed["shadow"] == "a"
    return warm


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("crash", "model-crashed"), ("hang", "model-hung"), ("nan", "model-invalid")],
)
async def test_when_an_engine_fails_in_the_window_the_warm_one_before_serves_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, reason: str
) -> None:
    async with serving_a(tmp_path, monkeypatch, frame_seconds=2) as worker:
        warm = await watch_b(worker, with_fault(FLOAT.build(), fault))
        # One that hangs is listened to for a while before it is called that.
        status = await worker.client.until(
            lambda now: now["fell_back"] and now["fell_back"]["reason"] != "engine-silent"
        )
        assert status["fell_back"]["reason"] == reason
        assert (status["fell_back"]["from"], status["fell_back"]["to"]) == ("b", "a")
        assert status["releases"]["b"]["classified"] > LATE / 2
        assert status["releases"]["b"]["errors"] == 1
        again = await worker.classified(5)
        # Nothing had to be loaded: that is why it takes no second.
        assert (again["release"], again["engine"]["pid"]) == ("a", warm)
        assert again["state"] == "serving"
        assert_balanced(again)
