"""The worker: it answers, it serves, its source gives pictures and its runtime works."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from agent.doctor.finding import Finding, Patient, error, ok, warning
from agent.parts import open_store, worker_of
from agent.worker.camera.capture import OPEN_SECONDS
from agent.worker.settings import WorkerSettings
from agent.worker_port.client import WorkerClient
from agent.worker_port.errors import WorkerProtocolError
from states.ports import Postponed

PROBE_SECONDS = 60.0
_START = "start it: systemctl start edgeferry-worker; then: journalctl -u edgeferry-worker"


async def examine_worker(patient: Patient) -> list[Finding]:
    """Whether it answers, and what it says of itself and its source."""
    settings = patient.settings
    worker = worker_of(settings, open_store(settings))
    try:
        if isinstance(worker, WorkerClient):
            return list(told(await worker.status()))
        figures = await worker.figures()
    except WorkerProtocolError as problem:
        return [error(problem.detail, "restart it: it may be of another version")]
    except Postponed as away:
        return [error(away.detail, _START), *await _source(settings.worker)]
    return [ok(f"the inference script runs; it was given release {figures.serving}")]


def told(status: dict[str, Any]) -> Iterator[Finding]:
    """What the worker's own status says, release first and source last."""
    release, source = status.get("release"), status.get("source", {})
    if release is None:
        yield warning("the worker runs but serves nothing", "deploy a model to this device")
    else:
        yield ok(f"the worker serves {release} at {status.get('fps', 0):.1f} frames/s")
    if fell_back := status.get("fell_back"):
        yield warning(
            f"the worker went back to {fell_back['to']}: {fell_back['detail']}",
            "see: edgeferry explain",
        )
    yield _told_of_source(source)


def _told_of_source(source: Mapping[str, Any]) -> Finding:
    state = source.get("state")
    what = f"{source.get('address')}: {source.get('detail') or state}"
    if state == "playing":
        return ok(what)
    if state == "opening":  # for the first time since the worker started; it fails, or ends soon
        return warning(what, f"the worker gives it {OPEN_SECONDS:g} s; run doctor again after that")
    return error(what, "check cable, device node and worker.source in the configuration")


async def _source(settings: WorkerSettings) -> list[Finding]:
    if settings.kind == "signal":
        return []
    return [await _probed("source", settings, "check worker.source and who may read the device")]


async def examine_runtime(patient: Patient) -> list[Finding]:
    """Whether a TFLite runtime works here, seen by building an interpreter."""
    if patient.settings.worker.kind == "signal":
        return []
    install = "install one: pip install ai-edge-litert"
    return [await _probed("runtime", patient.settings.worker, install)]


async def _probed(
    what: Literal["runtime", "source"], settings: WorkerSettings, next_step: str
) -> Finding:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent.doctor.probe"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    question = {"what": what, "worker": settings.model_dump(mode="json")}
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            answer, _ = await process.communicate(json.dumps(question).encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        late = f"the {what} did not answer within {PROBE_SECONDS:g} s"
        return error(late, f"run doctor again when the device is less busy; then: {next_step}")
    if process.returncode:
        return error(f"trying the {what} ended with status {process.returncode}", next_step)
    found = json.loads(answer)
    return ok(found["ok"]) if "ok" in found else error(found["problem"], next_step)
