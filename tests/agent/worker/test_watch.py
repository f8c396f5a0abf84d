from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.worker.sandbox.starvation import LONGER_TIMES
from agent.worker.settings import WorkerSettings
from agent.worker.watch import PATIENCE_SECONDS, Flow, ServiceWatch, status_text
from tests.support.waiting import within
from tests.support.worker_harness import running_worker


def figures(**changes: Any) -> dict[str, Any]:
    usual = {
        "state": "serving",
        "release": "ab12",
        "candidate": None,
        "fps": 29.97,
        "frames": 0,
        "captured": 0,
        "unserved": 0,
        "in_flight": 0,
        "source": {"address": "camera:0", "state": "playing", "detail": None},
    }
    return usual | changes


def test_a_camera_whose_driver_never_returns_is_trouble() -> None:
    flow = Flow(5.0, 0.5)
    assert flow.trouble(figures(frames=7), 0) is None
    assert flow.trouble(figures(frames=7), 61) is None
    assert "camera:0" in str(flow.trouble(figures(frames=7), 62))
    assert flow.trouble(figures(frames=8), 63) is None


def test_a_camera_that_is_unplugged_is_waited_for() -> None:
    flow = Flow(5.0, 0.5)
    broken = {"address": "camera:0", "state": "failed", "detail": "unplugged"}
    for now in (0, 100, 1e6):
        assert flow.trouble(figures(source=broken), now) is None


def test_a_source_has_as_long_as_the_settings_give_it() -> None:
    flow = Flow(5.0, 500.0)
    assert flow.trouble(figures(frames=7), 0) is None
    assert flow.trouble(figures(frames=7), PATIENCE_SECONDS + 1000) is None


def test_frames_left_lying_are_trouble_but_frames_nobody_serves_are_not() -> None:
    flow = Flow(5.0, 0.5)
    for second in range(200):
        unserved = figures(frames=second, unserved=second, in_flight=1)
        assert flow.trouble(unserved, second) is None
    longest = int(PATIENCE_SECONDS + LONGER_TIMES * 5.0)
    for second in range(longest + 1):
        assert flow.trouble(figures(frames=200 + second, in_flight=2), 200 + second) is None
    lying = figures(frames=400, in_flight=2)
    assert "waiting for an answer" in str(flow.trouble(lying, 200 + longest + 2))


async def test_a_worker_that_can_be_reached_and_serves_is_well(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        watch = ServiceWatch(WorkerSettings(source="synthetic:"), tmp_path)
        assert await watch.trouble() is None
        (tmp_path / "worker.sock").unlink()
        assert "worker.sock" in str(await within(watch.trouble()))


def test_the_line_says_what_is_served_and_from_where() -> None:
    assert status_text(figures()) == "serving release ab12, 30.0 frames/s from camera:0"
    failed = {"address": "camera:0", "state": "failed", "detail": "unplugged"}
    assert status_text(figures(release=None, source=failed)) == (
        "waiting for a release; camera:0 failed: unplugged"
    )
    candidate = {"release": "cd34", "state": "loading"}
    assert "cd34 loading beside it" in status_text(figures(candidate=candidate))
