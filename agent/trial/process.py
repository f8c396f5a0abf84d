"""The trial of a model in a process that may do hardly anything: ``python -m agent.trial.process``.

Started by :func:`agent.trial.trial.try_model`. Reads one JSON object from standard input and writes
lines of JSON to standard output: ``{"stage": …}`` before each step that may end the process, then
``{"report": …}``, ``{"rejected": …}`` or ``{"trouble": …}``.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import IO, Any

from agent.worker.sandbox import child
from agent.worker.sandbox.confinement import Confinement

OPEN_FILES = 64
MOST_PIXELS = 64_000_000
"""Of a picture in a golden set: a small file may declare a huge one."""


@dataclass(frozen=True)
class TrialJob:
    """What the process is told. Sizes in bytes."""

    parent: int
    model: str
    labels: str
    settings: str | None
    """The release's ``model.json``."""
    runtime: str
    num_threads: int
    cpu_seconds: int
    memory_bytes: int
    max_model_bytes: int
    max_side: int
    timed_runs: int
    preprocessing: dict[str, Any]
    golden_set: str | None
    """A ZIP archive, or a folder."""
    golden_pictures: int
    golden_seconds: float
    golden_labels_must_be_known: bool

    def to_json(self) -> bytes:
        """For standard input."""
        return json.dumps(asdict(self)).encode()


class Answers:
    """Standard output for our answers only: whatever a library prints goes nowhere."""

    def __init__(self) -> None:
        self._file: IO[str] = os.fdopen(os.dup(1), "w")
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def stage(self, text: str) -> None:
        """Tell what comes next; empty for the model's own work."""
        self.give({"stage": text})

    def give(self, message: dict[str, Any]) -> None:
        """Write one answer."""
        self._file.write(json.dumps(message) + "\n")
        self._file.flush()


def main() -> None:
    """Give up every right that is not needed, then open the model."""
    job = TrialJob(**json.load(sys.stdin))
    answers = Answers()
    confinement = _confine(job)
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MOST_PIXELS)
    # Only now: these load the libraries, which may start threads and read their environment.
    from agent.trial.checks import outcome

    try:
        answer = outcome(job, confinement, answers)
    except MemoryError:
        limit = job.memory_bytes >> 20
        detail = f"it needs more than the {limit} MiB of memory a trial may use"
        answer = {"rejected": {"reason": "model-unsupported", "detail": detail}}
    answers.give(answer)


def _confine(job: TrialJob) -> Confinement:
    child.die_with_parent(job.parent)
    os.nice(child.LOW_PRIORITY)
    confinement = Confinement()
    # A process with threads can't get a user namespace.
    confinement.leave_network()
    confinement.limit(
        memory_bytes=job.memory_bytes, cpu_seconds=job.cpu_seconds, open_files=OPEN_FILES
    )
    return confinement


if __name__ == "__main__":
    main()
