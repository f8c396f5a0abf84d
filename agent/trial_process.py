"""The trial of a model in a process that may do hardly anything: ``python -m agent.trial_process``.

Started by :func:`agent.trial.try_model`. Reads one JSON object from standard input and writes lines
of JSON to standard output: ``{"stage": "opening"}`` when everything of ours works and the model is
next, then ``{"report": …}``, ``{"rejected": …}`` or ``{"trouble": …}``.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from agent.worker import child
from agent.worker.confinement import Confinement

if TYPE_CHECKING:
    from agent.worker.classifier import Classifier
    from agent.worker.material import Material

OPEN_FILES = 64
TIMED_SECONDS = 2.0
FEWEST_TIMED_RUNS = 3


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

    def to_json(self) -> bytes:
        """For standard input."""
        return json.dumps(asdict(self)).encode()


def main() -> None:
    """Give up every right that is not needed, then open the model."""
    job = TrialJob(**json.load(sys.stdin))
    answers = _private_stdout()
    confinement = _confine(job)
    try:
        answer = _try(job, confinement, answers)
    except MemoryError:
        limit = job.memory_bytes >> 20
        detail = f"it needs more than the {limit} MiB of memory a trial may use"
        answer = {"rejected": {"reason": "model-unsupported", "detail": detail}}
    _write(answers, answer)


def _private_stdout() -> IO[str]:
    """Standard output for our answers only: whatever a library prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answers


def _confine(job: TrialJob) -> Confinement:
    child.die_with_parent(job.parent)
    os.nice(child.LOW_PRIORITY)
    confinement = Confinement()
    # Before any library starts a thread: a process with threads can't get a user namespace.
    confinement.leave_network()
    confinement.limit(
        memory_bytes=job.memory_bytes, cpu_seconds=job.cpu_seconds, open_files=OPEN_FILES
    )
    return confinement


def _try(job: TrialJob, confinement: Confinement, answers: IO[str]) -> dict[str, Any]:
    from agent.worker.errors import RuntimeUnavailable
    from states.ports import Rejected

    try:
        return {"report": _report(job, confinement, answers)}
    except Rejected as error:
        return {"rejected": {"reason": error.reason, "detail": error.detail}}
    except RuntimeUnavailable as error:
        return {"trouble": str(error)}
    except OSError as error:
        return {"trouble": f"{error.filename}: {error.strerror}"}


def _report(job: TrialJob, confinement: Confinement, answers: IO[str]) -> dict[str, Any]:
    from agent.worker.classifier import Classifier, probe_pictures
    from agent.worker.runtime import find_runtime

    runtime = find_runtime(job.runtime)  # type: ignore[arg-type]  # checked by the settings
    material = _material(job)
    probe_pictures(8, 8)  # what is imported on first use can't be any more when closed off
    confinement.close_off()
    _write(answers, {"stage": "opening"})
    classifier = Classifier(runtime, material.model, material.labels, material.settings)
    classifier.warm_up()
    return {
        "runtime": runtime.name,
        "input_shape": classifier.input.shape,
        "input_type": classifier.input.data_type,
        "output_shape": classifier.output.shape,
        "output_type": classifier.output.data_type,
        "labels": len(material.labels),
        "latency_ms": _latency_ms(classifier, job.timed_runs),
        "latency_budget_ms": material.latency_budget_ms,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "sandbox": confinement.in_force,
    }


def _material(job: TrialJob) -> Material:
    import cv2

    from agent.worker.choices import Preprocessing
    from agent.worker.classifier import ClassifierSettings
    from agent.worker.material import read_material

    cv2.setNumThreads(1)  # its threads could be outside of what is closed off
    preprocessing = Preprocessing.from_json(job.preprocessing)
    return read_material(
        Path(job.model),
        Path(job.labels),
        Path(job.settings) if job.settings else None,
        ClassifierSettings(job.num_threads, preprocessing, job.max_side),
        job.max_model_bytes,
    )


def _latency_ms(classifier: Classifier, runs: int) -> float:
    """The least of several runs: whatever else the machine does only ever adds to it."""
    from agent.worker.classifier import probe_pictures

    height, width = classifier.input.shape[1:3]
    noise = probe_pictures(height, width)[2]
    end = time.monotonic() + TIMED_SECONDS
    times: list[float] = []
    while len(times) < runs and (len(times) < FEWEST_TIMED_RUNS or time.monotonic() < end):
        prediction = classifier.classify(noise)
        times.append(prediction.preprocess_ms + prediction.inference_ms)
    return round(min(times), 3)


def _write(answers: IO[str], message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
