"""SIGKILL anywhere: after a restart everything ends right, and little is fetched twice."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.link import link_to
from demo.cloud_process import CloudProcess
from demo.stage import Document
from tests.support.background import in_background
from tests.support.commits import watching
from tests.support.on_disk import only_verified_bytes_are_reachable
from tests.support.waiting import PATIENCE
from tests.system.conftest import Bench, make_bench

pytestmark = pytest.mark.system

CHECKPOINT = 64 * 1024
# DTLS and CoAP around a 1,024-byte block, a little generously.
OVERHEAD = 1.12


@pytest.fixture
def own_cloud(tmp_path: Path) -> Iterator[CloudProcess]:
    """A cloud that may be killed."""
    cloud = CloudProcess(tmp_path / "own-cloud", rate_limit=0)
    cloud.start()
    yield cloud
    if cloud.process.running:
        cloud.process.stop()


def test_an_agent_killed_at_random_times_ends_in_the_right_state(bench: Bench) -> None:
    dice = random.Random(20261123)
    bench.device.start("worker")
    for version in ("1", "2", "3"):
        bench.device.start("run")
        bench.deploy(version)
        for _ in range(3):
            time.sleep(dice.uniform(0.0, 2.0))
            bench.device.agent.kill()
            only_verified_bytes_are_reachable(bench.device.state_dir)
            bench.device.start("run")
        status = bench.await_served(version)
        assert status["rejected"] == []
        bench.device.agent.kill()
        only_verified_bytes_are_reachable(bench.device.state_dir)


STATES = [
    "manifest-received",
    "downloading",
    "verifying",
    "activating",
    "confirming",
    "reporting",
]


def test_an_agent_killed_once_it_has_entered_a_state_finishes_after_its_restart(
    bench: Bench,
) -> None:
    bench.device.start("worker")
    bench.device.start("run")
    bench.deploy("1")
    bench.await_served("1")
    for number, state in enumerate(STATES, 2):
        before = len(bench.states())
        bench.deploy(str(number))
        await_entered(bench, state, before)
        bench.device.agent.kill()
        only_verified_bytes_are_reachable(bench.device.state_dir)
        bench.device.start("run")
        status = bench.await_served(str(number))
        assert status["previous"]["packages"]["ai-model"]["version"] == str(number - 1)
        assert status["rejected"] == []


def await_entered(bench: Bench, state: str, before: int) -> None:
    """Wait until the device has been in that state since it had been in so many."""
    end = time.monotonic() + PATIENCE
    with watching(bench.device.state_dir) as commits:
        while state not in bench.states()[before:]:
            assert time.monotonic() < end, f"{state}: not within {PATIENCE:g} s"
            commits.await_next(1)


def await_bytes(bench: Bench, count: int) -> None:
    """Wait until the download has got that far, and no further than its end."""

    def reached(status: Document) -> bool:
        assert not status["active"], "the download was over before the kill"
        return bool(status["target"] and status["target"]["bytes_done"] > count)

    bench.device.await_status(f"{count} bytes", reached, PATIENCE, every=0.05)


def test_a_killed_download_fetches_at_most_one_checkpoint_again(bench: Bench) -> None:
    size, dice = 600_000, random.Random(7)
    gateway = bench.cloud.address.gateway
    with in_background(lambda: link_to(gateway, own_process=False)) as link:
        relayed = f"coaps://127.0.0.1:{link.it.address[1]}"
        pace = {"EDGEFERRY_GOLIOTH__URI": relayed, "EDGEFERRY_GOLIOTH__REQUESTS_PER_SECOND": "300"}
        bench.device.start("worker")
        bench.device.start("run", pace)
        bench.deploy("killed-1", bench.large_model("killed-1", size))
        kills = 0
        for share in (0.2, 0.4, 0.6, 0.8):
            await_bytes(bench, int(size * (share + dice.uniform(-0.05, 0.05))))
            bench.device.agent.kill()
            kills += 1
            bench.device.start("run", pace)
        bench.await_served("killed-1")
        allowed = (size + kills * CHECKPOINT) * OVERHEAD + 40_000
        assert size < link.wait_for(link.it.statistics()).down.passed_bytes < allowed


def test_a_killed_worker_comes_back_with_the_active_release(bench: Bench) -> None:
    bench.device.start("worker")
    bench.device.start("run")
    bench.deploy("1")
    active = bench.await_served("1")["active"]["id"]
    for command in ("kill", "stop"):
        getattr(bench.device.worker, command)()
        bench.device.start("worker")
        bench.device.await_status("serves again", lambda s: s["worker"]["release"] == active, 30)
    bench.device.worker.kill()
    bench.deploy("2")
    bench.device.await_status("worker is missed", lambda s: s["state"] == "awaiting-retry", 30)
    bench.device.start("worker")
    assert bench.await_served("2")["rejected"] == []


def test_a_worker_killed_in_the_commit_window_does_not_condemn_the_model(bench: Bench) -> None:
    bench.device.start("worker")
    bench.device.start("run", {"EDGEFERRY_UPDATE__WINDOW_FRAMES": "100"})
    bench.deploy("1")
    bench.device.await_status("the window", lambda s: s["state"] == "confirming", PATIENCE)
    bench.device.worker.kill()
    bench.device.start("worker")
    assert bench.await_served("1")["rejected"] == []


def test_a_cloud_killed_in_mid_download_is_waited_for(
    own_cloud: CloudProcess, tmp_path: Path
) -> None:
    for bench in make_bench(own_cloud, tmp_path, "cloud-killed"):
        bench.device.start("worker")
        bench.device.start("run", {"EDGEFERRY_GOLIOTH__REQUESTS_PER_SECOND": "100"})
        bench.deploy("1", bench.large_model("1", 300_000))
        bench.device.await_status(
            "the middle",
            lambda s: s["target"] and s["target"]["bytes_done"] > 100_000,
            PATIENCE,
        )
        own_cloud.process.kill()
        own_cloud.start()
        status = bench.await_served("1")
        assert status["rejected"] == []
        only_verified_bytes_are_reachable(bench.device.state_dir)
