"""Whatever comes in whatever order: the figures balance and the worker can always serve again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.tiny_models import TinyModel, reversed_colours
from tests.support.worker_client import Refused, write_release
from tests.support.worker_harness import RunningWorker, assert_balanced, running_worker

RELEASES: dict[str, TinyModel | bytes] = {
    "a": TinyModel(),
    "b": reversed_colours(),
    "rotten": b"TFL3 no model",
}
STEPS = 25
STEPS_KNOWN = (
    *("prepare", "commit", "swap", "watch", "watch", "settle", "abort", "withdraw"),
    *("kill", "kill", "stop"),
)


async def _one_step(worker: RunningWorker, rng: random.Random) -> None:
    release = rng.choice(list(RELEASES))
    match rng.choice(STEPS_KNOWN):
        case "prepare":
            await worker.prepare(release)
        case "commit":
            await worker.client.call("commit", release=release)
        case "swap":
            await worker.serve(release)
        case "watch":
            await worker.prepare(release)
            await worker.client.call("commit", release=release, watch=True)
        case "settle":
            await worker.client.call("settle", release=release)
        case "abort":
            await worker.client.call("abort", release=release)
        case "withdraw":
            await worker.client.call("withdraw")
        case accident:
            await _hurt_engine(worker, signal.SIGKILL if accident == "kill" else signal.SIGSTOP)


async def _hurt_engine(worker: RunningWorker, number: signal.Signals) -> None:
    engine = (await worker.client.call("status"))["engine"]
    if engine:
        try:
            os.kill(engine["pid"], number)
        except ProcessLookupError:
            return  # replaced meanwhile


async def _try_step(worker: RunningWorker, rng: random.Random) -> None:
    with suppress(Refused):
        await _one_step(worker, rng)
    assert_balanced(await worker.client.call("status"))


@pytest.mark.parametrize("seed", range(2))
async def test_no_order_of_requests_and_accidents_unbalances_or_stops_the_worker(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    for release, model in RELEASES.items():
        write_release(tmp_path, release, model)
    async with running_worker(tmp_path, frames_per_second=60, frame_seconds=0.3) as worker:
        for _ in range(STEPS):
            at_once = rng.randrange(1, 4)
            await asyncio.gather(*(_try_step(worker, rng) for _ in range(at_once)))
        await worker.serve("a")
        status = await worker.classified(5)
        assert (status["state"], status["release"]) == ("serving", "a")
        assert_balanced(status)
