"""The worker's warnings on their way to the cloud's log."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

import demo
from agent.service.logs import STANDARD_ERROR
from agent.worker.log_lines import KEPT, LogLines
from agent.worker_port import log_lines as port
from agent.worker_port.client import WorkerClient
from agent.worker_port.errors import WorkerProtocolError
from agent.worker_port.log_lines import AWAY_LOOKS, WorkerLines
from states.ports import Postponed
from states.reasons import Transient
from tests.support.worker_harness import running_worker

log = logging.getLogger("agent.worker.camera.capture")
DEMO_PICTURES = Path(demo.__file__).parent / "pictures"


def arrived(taken: dict[str, Any]) -> dict[str, Any]:
    """What the next request says of an answer that has come."""
    return {"instance": taken["instance"], "last": taken["last"]}


async def test_each_line_is_kept_until_it_has_arrived_and_what_is_too_much_is_counted() -> None:
    lines = LogLines()
    with lines.attached():
        log.info("the camera gives pictures")
        log.error("unforeseen", exc_info=ValueError("no such picture"))
        taken = await lines.take({})
        assert taken["lines"] == [
            {
                "level": logging.ERROR,
                "logger": log.name,
                "message": "unforeseen: ValueError: no such picture",
            }
        ]
        assert await lines.take({}) == taken, "an answer may be lost"
        assert await lines.take({"instance": "another", "last": 1}) == taken
        assert await lines.take(arrived(taken)) == {**taken, "lines": []}
        for number in range(KEPT + 2):
            log.warning("line %d", number)
    log.warning("nobody hears this")
    taken = await lines.take({})
    assert [len(taken["lines"]), taken["left_out"]] == [KEPT, 2]
    assert taken["lines"][-1]["message"] == f"line {KEPT + 1}"
    assert await lines.take(arrived(taken)) == {**taken, "lines": [], "left_out": 0}


async def test_a_line_is_told_as_it_is_said_to_whoever_waits(tmp_path: Path) -> None:
    cloud = Cloud()
    async with running_worker(tmp_path):
        worker = WorkerClient(tmp_path / "worker.sock", tmp_path / "releases", load_seconds=60.0)
        handing_on = asyncio.create_task(WorkerLines(worker, cloud).run())
        for text in ("before it is killed", "and once more"):
            await asyncio.to_thread(log.warning, text)
            while not any(text in record for record in cloud.records):
                assert not handing_on.done()
                await asyncio.sleep(0.01)
        handing_on.cancel()
    assert [text for *_, text in cloud.records] == ["before it is killed", "and once more"]


async def test_a_quiet_log_on_the_device_keeps_no_line_from_the_cloud() -> None:
    root, quiet = logging.getLogger(), logging.NullHandler(logging.ERROR)
    quiet.name, before = STANDARD_ERROR, root.level
    root.addHandler(quiet)
    root.setLevel(logging.ERROR)
    lines = LogLines()
    try:
        with lines.attached():
            log.warning("the camera is gone")
    finally:
        root.removeHandler(quiet)
        root.setLevel(before)
    assert len((await lines.take({}))["lines"]) == 1


async def test_a_killed_engine_and_a_lost_camera_are_among_them(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    async with running_worker(tmp_path, source=f"dir:{pictures}") as worker:
        await worker.client.event("source-failed")
        shutil.copytree(DEMO_PICTURES, pictures)
        await worker.serve("a")
        await worker.classified(1)
        os.kill((await worker.client.call("status"))["engine"]["pid"], signal.SIGKILL)
        await worker.client.event("engine-failed")
        said = (await worker.client.call("log-lines"))["lines"]
    modules = {line["logger"]: line["message"] for line in said if "asyncio" not in line["logger"]}
    assert str(pictures) in modules["agent.worker.camera.capture"]
    assert "release a" in modules["agent.worker.engines.recovery"]


NOTHING = {"instance": "first", "lines": [], "left_out": 0, "last": 0}


class Worker:
    """Answers as it is told, the last answer again and again."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self._answers = list(answers)

    async def log_lines(self, *_: object) -> dict[str, Any]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Cloud(logging.Handler):
    """Takes warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[tuple[str, str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append((record.levelname, record.name, record.getMessage()))


async def test_lines_arrive_as_the_worker_said_them_from_the_operators_level_on() -> None:
    cloud = Cloud()
    said = [
        {"level": logging.WARNING, "logger": "agent.worker.preview", "message": "100 % of it"},
        {"level": logging.INFO, "logger": "agent.worker", "message": "all is well"},
    ]
    await WorkerLines(Worker({**NOTHING, "lines": said, "left_out": 3}), cloud).look()
    assert cloud.records == [
        ("WARNING", port.__name__, "3 lines of the worker were left out; its own log has them"),
        ("WARNING", "agent.worker.preview", "100 % of it"),
    ]


AWAY = Postponed(Transient.WORKER_AWAY, "worker.sock: no such file; is edgeferry worker running?")


@pytest.mark.parametrize(
    ("answers", "warnings"),
    [
        ([AWAY] * (AWAY_LOOKS - 1) + [NOTHING], []),
        ([AWAY], ["is edgeferry worker running?"]),
        ([AWAY] * AWAY_LOOKS + [NOTHING, AWAY], ["is edgeferry worker running?"] * 2),
        ([WorkerProtocolError("log-lines: unknown-method")], ["unknown-method"]),
        ([{"lines": "none"}], ["4 validation errors"]),
        ([NOTHING, AWAY, {**NOTHING, "instance": "second"}], ["ended, and was started again"]),
    ],
)
async def test_a_worker_that_ends_stays_away_or_is_odd_is_told_once(
    answers: list[dict[str, Any] | Exception], warnings: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    lines = WorkerLines(Worker(*answers), Cloud())
    for _ in range(3 * AWAY_LOOKS):
        await lines.look()
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(said) == len(warnings), said
    assert all(part in text for part, text in zip(warnings, said, strict=True))
