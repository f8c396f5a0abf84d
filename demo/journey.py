"""The demo's steps: each deploys something, waits for what must follow, and measures it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.commands.inspection import Inspector
from agent.worker_port.client import WorkerClient
from demo.fleet import Files, Fleet
from demo.stage import Device, Document, await_that, serves

PATIENCE = 120.0
"""Seconds a step may take; a step is much quicker, but the machine may be busy."""
PICTURES = 40
GOLIOTH_RATE = "20"
CHECKPOINT = 64 * 1024


class StepFailed(Exception):  # noqa: N818 - reads as what happened
    """What a step promises did not come true."""


@dataclass(frozen=True)
class Measured:
    """What a step came to: payload bytes, seconds from deploy to the first new picture."""

    held: bool
    received_bytes: int | None = None
    switch_seconds: float | None = None
    accuracy: float | None = None
    captured: int = 0
    classified: int = 0
    dropped: int = 0
    note: str = ""


@dataclass(frozen=True)
class Step:
    """A step by name, and how it is played."""

    title: str
    play: Callable[[], Measured]


class Journey:
    """All steps on one device of one fleet."""

    def __init__(self, fleet: Fleet, device: Device, files: Files) -> None:
        self._fleet = fleet
        self._device = device
        self._files = files
        self.rolled_back: Document | None = None
        """The story of the collapsed model, as ``edgeferry explain`` tells it."""

    def steps(self) -> Iterator[Step]:
        """The steps in order."""
        files = self._files
        yield Step("deploy model 1 + labels 1", lambda: self._deploy("1", files.model_1))
        yield Step("deploy model 2", lambda: self._deploy("2", files.model_2))
        yield Step("deploy 3 outputs for 2 labels", self._refuse_bad_pair)
        yield Step("collapsed model, golden set with it", self._refuse_by_golden_set)
        yield Step("collapsed model without one", self._roll_back_collapsed)
        yield Step("SIGKILL the new model's engine", self._roll_back_crashed)
        yield Step("SIGKILL in mid-download, resume", self._kill_and_resume)
        yield Step("deploy model 1 again", self._go_back)

    def _deploy(self, version: str, model: Path) -> Measured:
        artifacts = self._fleet.upload(version, model, self._files.labels)
        deployed_at = time.time()
        self._fleet.deploy(f"model {version}", artifacts)
        status = self._await_served(version)
        return self._measured(status, deployed_at)

    def _refuse_bad_pair(self) -> Measured:
        artifacts = self._fleet.upload("3-outputs", self._files.three_outputs, self._files.labels)
        return self._refused(artifacts, "label-count-mismatch")

    def _refuse_by_golden_set(self) -> Measured:
        """The deployment brings the pictures that its model must get right."""
        artifacts = self._fleet.upload("collapsed", self._files.collapsed, self._files.labels)
        golden = self._fleet.upload_golden_set(self._files.pictures)
        return self._refused([*artifacts, golden], "golden-set-failed")

    def _roll_back_collapsed(self) -> Measured:
        """The same model again, but nothing speaks against it before it serves."""
        artifacts = self._fleet.upload("collapsed", self._files.collapsed, self._files.labels)
        measured = self._refused(artifacts, "commit-window-failed")
        self.rolled_back = self._device.inspect(Inspector.explain)
        return measured

    def _roll_back_crashed(self) -> Measured:
        """Kills the engine of a good model while it is watched: the one before is still warm."""
        artifacts = self._fleet.upload("2-killed", self._files.model_2, self._files.labels)
        return self._refused(artifacts, "commit-window-failed", self._kill_watched_engine)

    def _kill_watched_engine(self) -> None:
        def watched(status: Document) -> bool:
            comparison = status["worker"].get("comparison")
            return bool(status["state"] == "confirming" and comparison and comparison["compared"])

        status = self._device.await_status("the new model is watched", watched, PATIENCE)
        os.kill(status["worker"]["engine"]["pid"], signal.SIGKILL)

    def _refused(
        self, artifacts: list[str], reason: str, meanwhile: Callable[[], None] | None = None
    ) -> Measured:
        """Deploy what must be refused; the engine that serves must be the same one afterwards."""
        before = self._status()
        self._fleet.deploy(reason, artifacts)
        if meanwhile:
            meanwhile()
        status = self._device.await_status(
            f"refused: {reason}",
            lambda s: len(s["rejected"]) > len(before["rejected"]) and s["state"] == "idle",
            PATIENCE,
        )
        rejection, served = status["rejected"][-1], status["worker"]
        require(rejection["reason"] == reason, f"refused for {rejection['reason']}")
        require(status["active"] == before["active"], "the active release changed")
        for what in ("release", "engine"):
            require(served[what] == before["worker"][what], f"the {what} that serves is another")
        require(served["classified"] > before["worker"]["classified"], "the worker stopped")
        return self._measured(status, None, note=f"refused: {reason}: {rejection['detail']}")

    def _kill_and_resume(self) -> Measured:
        """At Golioth's own pace until the kill, so that there is a middle to be killed in."""
        device = self._device
        device.agent.stop()
        device.start("run", {"EDGEFERRY_GOLIOTH__REQUESTS_PER_SECOND": GOLIOTH_RATE})
        artifacts = self._fleet.upload("2-resumed", self._files.another_model, self._files.labels)
        deployed_at = time.time()
        self._fleet.deploy("another model", artifacts)
        half = device.await_status("half of the download", _is_half_done, PATIENCE)
        device.agent.kill()
        held = half["target"]["bytes_done"]
        before = self._last_update()["fetched_bytes"]
        device.start("run")
        status = self._await_served("2-resumed")
        measured = self._measured(status, deployed_at, note=f"killed with {held:,} bytes held")
        size = self._files.another_model.stat().st_size
        fetched_again = (measured.received_bytes or 0) - before - (size - held)
        require(fetched_again <= CHECKPOINT, f"{fetched_again} bytes were fetched twice")
        return measured

    def _go_back(self) -> Measured:
        artifacts = self._fleet.upload("1", self._files.model_1, self._files.labels)
        deployed_at = time.time()
        self._fleet.deploy("back to model 1", artifacts)
        status = self._await_served("1")
        measured = self._measured(status, deployed_at)
        require(measured.received_bytes == 0, f"{measured.received_bytes} bytes were downloaded")
        return measured

    def _await_served(self, version: str) -> Document:
        return self._device.await_status(f"model {version} serves", serves(version), PATIENCE)

    def _measured(self, status: Document, deployed_at: float | None, note: str = "") -> Measured:
        worker = status["worker"]
        accounted = worker["classified"] + worker["dropped"] + worker["unserved"]
        require(
            worker["frames"] == accounted + worker["in_flight"],
            f"the counters do not balance: {worker}",
        )
        serving = worker["releases"][worker["release"]]
        first = serving["first_classified_at"]
        return Measured(
            held=True,
            received_bytes=self._last_update()["fetched_bytes"],
            switch_seconds=_seconds_between(deployed_at, first) if deployed_at else None,
            accuracy=self._accuracy(worker["release"]),
            captured=worker["captured"],
            classified=worker["classified"],
            dropped=worker["dropped"],
            note=note,
        )

    def _accuracy(self, release: str) -> float:
        """Share of the labelled pictures that the release names rightly, each counted once."""

        def answers() -> dict[str, bool]:
            client = WorkerClient(
                self._device.state_dir / "worker.sock", Path(), load_seconds=PATIENCE
            )
            found = asyncio.run(client.results(1000))["results"]
            mine = (result for result in found if result["release"] == release)
            return {r["name"]: r["top"][0]["label"] == r["label"] for r in mine}

        def all_seen() -> dict[str, bool] | None:
            seen = answers()
            return seen if len(seen) >= PICTURES else None

        seen: dict[str, bool] = await_that("every picture is classified", all_seen, PATIENCE)
        return sum(seen.values()) / len(seen)

    def _last_update(self) -> Document:
        update: Document = self._device.inspect(lambda inspector: inspector.updates(1))[0]
        return update

    def _status(self) -> Document:
        status: Document = self._device.inspect(Inspector.status)
        return status


def require(condition: object, otherwise: str) -> None:
    """Raise StepFailed unless the condition holds."""
    if not condition:
        raise StepFailed(otherwise)


def _is_half_done(status: Document) -> bool:
    target = status["target"]
    return bool(target and target["bytes_done"] >= target["bytes_total"] // 2)


def _seconds_between(start: float, moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() - start


def as_json(lines: list[tuple[Step, Measured]]) -> str:
    """The table for scripts."""
    return json.dumps([{"step": step.title, **vars(line)} for step, line in lines], indent=2)
