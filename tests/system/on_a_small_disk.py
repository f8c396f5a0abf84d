"""A device on a real file system that is full to the last byte, and one that is read-only.

A program, to be run in a namespace of its own: ``python -m tests.system.on_a_small_disk FOLDER``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from demo.cloud_process import CloudProcess
from demo.stage import Document, await_that
from tests.support.on_disk import journal_was_never_put_aside, only_verified_bytes_are_reachable
from tests.support.small_disk import SmallDisk
from tests.support.waiting import PATIENCE
from tests.system.conftest import Bench, make_bench

SIZE = 8 << 20


def main(folder: Path) -> None:
    """Raise AssertionError where a device does not do as promised."""
    cloud = CloudProcess(folder / "cloud", rate_limit=0)
    cloud.start()
    try:
        for bench in make_bench(cloud, folder, "on a small disk"):
            disk = SmallDisk(bench.device.state_dir, SIZE)
            bench.tables["device"] = {"reserve_bytes": 0}
            # Where services have it: on another file system.
            bench.tables["worker"]["socket"] = str(folder / "worker.sock")
            bench.device.configure(bench.tables)
            bench.device.start("worker")
            bench.device.start("run")
            bench.deploy("1")
            bench.await_served("1")
            _fill_up(bench, disk)
            _start_read_only(bench, disk)
    finally:
        cloud.process.stop()


def _fill_up(bench: Bench, disk: SmallDisk) -> None:
    disk.fill()
    bench.deploy("2", bench.large_model("2", 100_000))
    await_that("it is said", lambda: "disk-full" in bench.device.agent.log_tail(), PATIENCE)
    _see_it_serve(bench, "1")
    disk.make_room()
    assert bench.await_served("2")["rejected"] == []


def _see_it_serve(bench: Bench, version: str) -> None:
    """It goes on classifying, whatever the agent is in the middle of."""

    def classified(status: Document) -> int:
        assert status["active"]["packages"]["ai-model"]["version"] == version, status
        return int(status["worker"]["classified"])

    before = classified(bench.device.inspect(lambda inspector: inspector.status()))
    after = bench.device.await_status("frames", lambda s: classified(s) > before, PATIENCE)
    assert after["worker"]["errors"] == 0


def _start_read_only(bench: Bench, disk: SmallDisk) -> None:
    device = bench.device
    device.agent.stop()
    device.worker.stop()
    disk.make_read_only()
    device.start("worker")
    await_that("the model serves", lambda: (bench.folder / "worker.sock").exists(), PATIENCE)
    # As the service manager does, which starts it again every so often.
    agent = device.start("run")
    await_that("the agent gives up", lambda: not agent.running, PATIENCE)
    assert "Read-only file system" in agent.log_tail(), agent.log_tail()
    assert "Traceback" not in agent.log_tail(), agent.log_tail()
    disk.make_writable()
    device.start("run")
    bench.await_served("2")
    bench.deploy("3")
    assert bench.await_served("3")["rejected"] == []
    only_verified_bytes_are_reachable(device.state_dir)
    journal_was_never_put_aside(device.state_dir)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
