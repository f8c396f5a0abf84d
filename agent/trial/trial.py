"""Tries a model with its labels in a confined child process, before anything serves it.

A malformed model can crash its process, loop for ever or ask for all memory, so none is opened
anywhere else. The child gives up its rights itself (:mod:`agent.trial.process`): low priority,
limits on memory, processor time and open files, no network, and, once it has read what it is to
try, no file and hardly any system call (:mod:`agent.worker.sandbox.confinement`).
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.store.files import storage_errors
from agent.trial.process import TrialJob
from agent.worker.choices import Preprocessing, RuntimeName
from agent.worker.sandbox import child
from agent.worker.sandbox.starvation import LONGER_TIMES, LOOK_SECONDS, is_starved
from states.ports import Postponed, Rejected
from states.proof import ClassFindings, Findings, GoldenFindings
from states.reasons import Rejection, Transient

ANSWER_BYTES = 1 << 20
COMPLAINT_BYTES = 4096


@dataclass(frozen=True)
class TrialLimits:
    """What a trial may use. Times in seconds, sizes in bytes."""

    wall_seconds: float = 60.0
    cpu_seconds: int = 30
    memory_bytes: int = 1 << 30
    max_model_bytes: int = 256 << 20
    max_side: int = 2048
    """Largest height and width of the model's input."""
    timed_runs: int = 10
    """At most; a slow model is timed less often."""
    golden_pictures: int = 200
    golden_seconds: float = 60.0
    """For the pictures of a golden set, on top of the rest."""

    def with_golden_set(self, num_threads: int) -> TrialLimits:
        """Limits with the time that a golden set may take."""
        return replace(
            self,
            wall_seconds=self.wall_seconds + self.golden_seconds,
            cpu_seconds=self.cpu_seconds + math.ceil(self.golden_seconds) * num_threads,
        )


@dataclass(frozen=True)
class TrialReport:
    """What the trial found.

    ``latency_ms`` is the least time of a picture's way through the model, ``latency_budget_ms``
    what the release itself allows for it (0: anything), ``sandbox`` what the process had given up.
    """

    runtime: str
    input_shape: tuple[int, ...]
    input_type: str
    output_shape: tuple[int, ...]
    output_type: str
    labels: int
    latency_ms: float
    latency_budget_ms: float
    peak_memory_bytes: int
    sandbox: Mapping[str, str]
    golden: GoldenFindings | None = None

    @property
    def findings(self) -> Findings:
        """What is judged."""
        return Findings(self.latency_ms, self.latency_budget_ms, self.golden)


@dataclass(frozen=True)
class TrialFiles:
    """The files of a release; ``settings`` is its ``model.json``.

    ``golden_set`` is a ZIP archive or a folder of pictures to classify, wherever it comes from.
    """

    model: Path
    labels: Path
    settings: Path | None = None
    golden_set: Path | None = None


@dataclass
class _Ending:
    """What is known of the process: its answers, its last words, its exit status."""

    answers: bytearray = field(default_factory=bytearray)
    complaints: bytearray = field(default_factory=bytearray)
    status: int | None = None


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
    return _verdict(await _run(job, limits), limits)


async def _run(job: TrialJob, limits: TrialLimits) -> _Ending:
    pipe = asyncio.subprocess.PIPE
    with storage_errors(Path(sys.executable)):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "agent.trial.process"),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=child.environment(),
        )
    ending = _Ending()
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


async def _listen(process: asyncio.subprocess.Process, job: TrialJob, ending: _Ending) -> None:
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


def _verdict(ending: _Ending, limits: TrialLimits) -> TrialReport:
    stage = None
    for answer in _answers(ending.answers):
        stage = answer.get("stage", stage)
        if "report" in answer:
            return _report(answer["report"])
        if "rejected" in answer:
            raise Rejected(Rejection(answer["rejected"]["reason"]), answer["rejected"]["detail"])
        if "trouble" in answer:
            raise Postponed(Transient.STORAGE_ERROR, f"no trial was possible: {answer['trouble']}")
    if stage:
        detail = f"the trial process {_how_it_ended(ending.status)} while {stage}"
        raise Rejected(Rejection.GOLDEN_SET_INVALID, detail)
    if stage is not None:
        raise _no_verdict(ending, limits)
    # A machine too busy to start it, or one that ran out of memory, says nothing of the model.
    starved = ending.status in {None, -signal.SIGKILL}
    raise Postponed(
        Transient.NO_RESOURCES if starved else Transient.INTERNAL_ERROR,
        f"the trial process {_how_it_ended(ending.status)} before it opened the model: "
        f"{_last_words(ending)}",
    )


def _answers(text: bytes | bytearray) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            answer = json.loads(line)
        except ValueError:
            continue  # cut off when the process ended; its exit status says why
        if isinstance(answer, dict):
            yield answer


def _report(answer: dict[str, Any]) -> TrialReport:
    shapes = {name: tuple(answer[name]) for name in ("input_shape", "output_shape")}
    return TrialReport(**{**answer, **shapes, "golden": _golden(answer["golden"])})


def _golden(answer: dict[str, Any] | None) -> GoldenFindings | None:
    if answer is None:
        return None
    classes = {label: ClassFindings(**found) for label, found in answer["classes"].items()}
    return GoldenFindings(answer["available"], classes, answer["answers"], answer["digest"])


def _no_verdict(ending: _Ending, limits: TrialLimits) -> Rejected:
    if ending.status is None:
        detail = f"it gave no answer within {limits.wall_seconds:g} s"
        return Rejected(Rejection.MODEL_HUNG, detail)
    if ending.status == -signal.SIGXCPU:
        detail = f"it used more than {limits.cpu_seconds} s of processor time"
        return Rejected(Rejection.MODEL_HUNG, detail)
    detail = f"the trial process {_how_it_ended(ending.status)}: {_last_words(ending)}"
    return Rejected(Rejection.MODEL_CRASHED, detail)


def _how_it_ended(status: int | None) -> str:
    if status is None:
        return "gave no answer in time"
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"exited with {status}"


def _last_words(ending: _Ending) -> str:
    said = ending.complaints.decode(errors="replace").strip().splitlines()
    lines = [line for line in said if not line.startswith("INFO:")]
    return lines[-1][:200] if lines else "it said nothing"
