"""Tries a model with its labels in a confined child process, before anything serves it.

A malformed model can crash its process, loop for ever or ask for all memory, so none is opened
anywhere else. The child gives up its rights itself (:mod:`agent.trial.process`): low priority,
limits on memory, processor time and open files, no network, and, once it has read what it is to
try, no file and hardly any system call (:mod:`agent.worker.sandbox.confinement`).
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.store.files import storage_errors
from agent.trial.limits import TrialLimits
from agent.trial.process import TrialJob
from agent.trial.verdict import TrialEnding, TrialReport, verdict
from agent.worker.choices import Preprocessing, RuntimeName
from agent.worker.sandbox import child
from agent.worker.sandbox.starvation import LONGER_TIMES, LOOK_SECONDS, is_starved

ANSWER_BYTES = 1 << 20
COMPLAINT_BYTES = 4096


@dataclass(frozen=True)
class TrialFiles:
    """The files of a release; ``settings`` is its ``model.json``.

    ``golden_set`` is a ZIP archive or a folder of pictures to classify, wherever it comes from.
    """

    model: Path
    labels: Path
    settings: Path | None = None
    golden_set: Path | None = None


async def try_model(
    files: TrialFiles,
    limits: TrialLimits,
    *,
    runtime: RuntimeName = "auto",
    num_threads: int = 1,
    preprocessing: Preprocessing | None = None,
    golden_labels_must_be_known: bool = True,
) -> TrialReport:
    """Load the model, check its tensors against the labels, and classify pictures with it.

    What it makes of a golden set is reported, not judged. A picture whose label the labels file
    lacks makes the set invalid; with ``golden_labels_must_be_known`` false it counts as answered
    wrongly, which is how an older model does on a newer set.

    Raises Rejected when the content is at fault: MODEL_SETTINGS_INVALID, LABELS_INVALID,
    LABEL_COUNT_MISMATCH, MODEL_INVALID, MODEL_UNSUPPORTED, TOO_LARGE, MODEL_CRASHED (with the
    signal), MODEL_HUNG or GOLDEN_SET_INVALID; and Postponed when this machine is: unreadable file,
    no working runtime.
    """
    if files.golden_set is not None:
        limits = limits.with_golden_set(num_threads)
    job = TrialJob(
        parent=os.getpid(),
        model=str(files.model),
        labels=str(files.labels),
        settings=str(files.settings) if files.settings else None,
        runtime=runtime,
        num_threads=num_threads,
        cpu_seconds=limits.cpu_seconds,
        memory_bytes=limits.memory_bytes,
        max_model_bytes=limits.max_model_bytes,
        max_side=limits.max_side,
        timed_runs=limits.timed_runs,
        preprocessing=asdict(preprocessing or Preprocessing()),
        golden_set=str(files.golden_set) if files.golden_set else None,
        golden_pictures=limits.golden_pictures,
        golden_seconds=limits.golden_seconds,
        golden_labels_must_be_known=golden_labels_must_be_known,
    )
    return verdict(await _run(job, limits), limits)


async def _run(job: TrialJob, limits: TrialLimits) -> TrialEnding:
    pipe = asyncio.subprocess.PIPE
    with storage_errors(Path(sys.executable)):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "agent.trial.process"),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=child.environment(),
        )
    ending = TrialEnding()
    listening = asyncio.create_task(_listen(process, job, ending))
    try:
        await _end_or_time_is_up(process.pid, listening, limits.wall_seconds)
        if listening.done():
            listening.result()
    finally:
        listening.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    return ending


async def _end_or_time_is_up(pid: int, listening: asyncio.Task[None], seconds: float) -> None:
    """Wait; a process that the machine is too busy to let run is given longer."""
    longest = time.monotonic() + LONGER_TIMES * seconds
    await asyncio.wait([listening], timeout=seconds)
    while not listening.done() and is_starved(pid, seconds) and time.monotonic() < longest:
        await asyncio.wait([listening], timeout=LOOK_SECONDS)


async def _listen(process: asyncio.subprocess.Process, job: TrialJob, ending: TrialEnding) -> None:
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdin.write(job.to_json())
    process.stdin.close()
    await asyncio.gather(
        _keep_last(process.stdout, ANSWER_BYTES, ending.answers),
        _keep_last(process.stderr, COMPLAINT_BYTES, ending.complaints),
    )
    ending.status = await process.wait()


async def _keep_last(stream: asyncio.StreamReader, limit: int, kept: bytearray) -> None:
    """Keep the last ``limit`` bytes of what comes, however much that is."""
    while chunk := await stream.read(limit):
        kept += chunk
        del kept[:-limit]
