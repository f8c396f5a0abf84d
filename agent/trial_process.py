"""The trial of a model in a process that may do hardly anything: ``python -m agent.trial_process``.

Started by :func:`agent.trial.try_model`. Reads one JSON object from standard input and writes lines
of JSON to standard output: ``{"stage": "opening"}`` when everything of ours works and the model is
next, then ``{"report": …}``, ``{"rejected": …}`` or ``{"trouble": …}``.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from agent.worker import child

if TYPE_CHECKING:
    from agent.worker.classifier import Classifier

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
OPEN_FILES = 64


@dataclass(frozen=True)
class TrialJob:
    """What the process is told. Sizes in bytes."""

    parent: int
    model: str
    labels: str
    runtime: str
    num_threads: int
    cpu_seconds: int
    memory_bytes: int
    max_model_bytes: int
    max_side: int
    timed_runs: int
    preprocessing: dict[str, str]

    def to_json(self) -> bytes:
        """For standard input."""
        return json.dumps(asdict(self)).encode()


def main() -> None:
    """Give up every right that is not needed, then open the model."""
    job = TrialJob(**json.load(sys.stdin))
    answers = _private_stdout()
    network = _confine(job)
    try:
        answer = _try(job, network, answers)
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


def _confine(job: TrialJob) -> bool:
    """Returns whether the network is still there: taking it away may need rights we don't have."""
    child.die_with_parent(job.parent)
    child.forbid_new_privileges()
    child.leave_no_core()
    os.nice(child.LOW_PRIORITY)
    # Before any library starts a thread: a process with threads can't get a user namespace.
    network = not take_network_away()
    # At the first limit comes SIGXCPU, which tells it from a kill by the kernel for want of memory.
    resource.setrlimit(resource.RLIMIT_CPU, (job.cpu_seconds, job.cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (job.memory_bytes, job.memory_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return network


def take_network_away() -> bool:
    """Returns whether that worked; not every system lets every user do it."""
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET):
        if libc.unshare(flags) == 0:
            return True
    return False


def _try(job: TrialJob, network: bool, answers: IO[str]) -> dict[str, Any]:
    from agent.worker.errors import RuntimeUnavailable
    from states.ports import Rejected

    try:
        return {"report": {**_report(job, answers), "network": network}}
    except Rejected as error:
        return {"rejected": {"reason": error.reason, "detail": error.detail}}
    except RuntimeUnavailable as error:
        return {"trouble": str(error)}
    except OSError as error:
        return {"trouble": f"{error.filename}: {error.strerror}"}


def _report(job: TrialJob, answers: IO[str]) -> dict[str, Any]:
    from agent.worker.choices import Preprocessing
    from agent.worker.classifier import Classifier, ClassifierSettings
    from agent.worker.labels import read_labels
    from agent.worker.runtime import find_runtime

    runtime = find_runtime(job.runtime)  # type: ignore[arg-type]  # checked by the settings
    labels = read_labels(Path(job.labels))
    model = _read_model(job)
    preprocessing = Preprocessing(**job.preprocessing)  # type: ignore[arg-type]
    settings = ClassifierSettings(job.num_threads, preprocessing, job.max_side)
    _write(answers, {"stage": "opening"})
    classifier = Classifier(runtime, model, labels, settings)
    classifier.warm_up()
    return {
        "runtime": runtime.name,
        "input_shape": classifier.input.shape,
        "input_type": classifier.input.data_type,
        "output_shape": classifier.output.shape,
        "output_type": classifier.output.data_type,
        "labels": len(labels),
        "latency_ms": _latency_ms(classifier, job.timed_runs),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _read_model(job: TrialJob) -> bytes:
    from states.ports import Rejected
    from states.reasons import Rejection

    with Path(job.model).open("rb") as file:
        model = file.read(job.max_model_bytes + 1)
    if len(model) > job.max_model_bytes:
        raise Rejected(Rejection.TOO_LARGE, f"the model has more than {job.max_model_bytes} bytes")
    return model


def _latency_ms(classifier: Classifier, runs: int) -> float:
    from agent.worker.classifier import probe_pictures

    height, width = classifier.input.shape[1:3]
    noise = probe_pictures(height, width)[2]
    predictions = [classifier.classify(noise) for _ in range(runs)]
    return round(statistics.median(p.preprocess_ms + p.inference_ms for p in predictions), 3)


def _write(answers: IO[str], message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
