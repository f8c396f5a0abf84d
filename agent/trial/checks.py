"""What a trial does once its process has given up what it could before loading the libraries."""

from __future__ import annotations

import codecs
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from agent.trial.golden_run import classify_all
from agent.trial.golden_set import (
    GoldenSet,
    GoldenSetInvalid,
    archive_set,
    check_labels,
    folder_set,
)
from agent.trial.process import Answers, TrialJob
from agent.worker.choices import Preprocessing
from agent.worker.errors import RuntimeUnavailable
from agent.worker.model.classifier import Classifier, ClassifierSettings, probe_pictures
from agent.worker.model.material import Material, read_material
from agent.worker.model.runtime import Runtime, find_runtime
from agent.worker.sandbox.confinement import Confinement
from states.ports import Rejected
from states.reasons import Rejection

TIMED_SECONDS = 2.0
FEWEST_TIMED_RUNS = 3


@dataclass(frozen=True)
class _Opened:
    """Everything that has to be opened for a trial, before nothing can be opened any more."""

    runtime: Runtime
    material: Material
    golden: Callable[[], GoldenSet] | None


def outcome(job: TrialJob, confinement: Confinement, answers: Answers) -> dict[str, Any]:
    """The last answer of the process. Raises MemoryError when the model wants too much."""
    try:
        opened = _open(job)
        confinement.close_off()
        opened.runtime.check()
        answers.stage("")
        return {"report": {**_measure(job, opened, answers), "sandbox": confinement.in_force}}
    except Rejected as error:
        return {"rejected": {"reason": error.reason, "detail": error.detail}}
    except GoldenSetInvalid as error:
        reason = Rejection.GOLDEN_SET_INVALID
        return {"rejected": {"reason": reason, "detail": f"golden set: {error}"}}
    except RuntimeUnavailable as error:
        return {"trouble": str(error)}
    except OSError as error:
        return {"trouble": f"{error.filename}: {error.strerror}"}


def _open(job: TrialJob) -> _Opened:
    cv2.setNumThreads(1)  # its threads could be outside of what is closed off
    runtime = find_runtime(job.runtime)  # type: ignore[arg-type]  # checked by the settings
    preprocessing = Preprocessing.from_json(job.preprocessing)
    material = read_material(
        Path(job.model),
        Path(job.labels),
        Path(job.settings) if job.settings else None,
        ClassifierSettings(job.num_threads, preprocessing, job.max_side),
        job.max_model_bytes,
    )
    golden = _golden_set(job)
    # What Python imports on first use, it has to import now.
    probe_pictures(8, 8)
    codecs.lookup("cp437")
    return _Opened(runtime, material, golden)


def _golden_set(job: TrialJob) -> Callable[[], GoldenSet] | None:
    """An archive is opened here, but read only inside the closed sandbox."""
    if job.golden_set is None:
        return None
    path = Path(job.golden_set)
    if path.is_dir():
        golden = folder_set(path, job.golden_pictures)
        return lambda: golden
    file = path.open("rb")
    return lambda: archive_set(file, job.golden_pictures)


def _measure(job: TrialJob, opened: _Opened, answers: Answers) -> dict[str, Any]:
    material = opened.material
    classifier = Classifier(opened.runtime, material.model, material.labels, material.settings)
    classifier.warm_up()
    latency_ms = _latency_ms(classifier, job.timed_runs)
    golden = None
    if opened.golden is not None:
        answers.stage("reading the golden set")
        pictures = opened.golden()
        if job.golden_labels_must_be_known:
            check_labels(pictures, classifier.labels)
        golden = classify_all(classifier, pictures, job.golden_seconds, answers.stage)
    return {
        "runtime": opened.runtime.name,
        "input_shape": classifier.input.shape,
        "input_type": classifier.input.data_type,
        "output_shape": classifier.output.shape,
        "output_type": classifier.output.data_type,
        "labels": len(material.labels),
        "latency_ms": latency_ms,
        "latency_budget_ms": material.latency_budget_ms,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "golden": golden,
    }


def _latency_ms(classifier: Classifier, runs: int) -> float:
    """The least of several runs: whatever else the machine does only ever adds to it."""
    height, width = classifier.input.shape[1:3]
    noise = probe_pictures(height, width)[2]
    end = time.monotonic() + TIMED_SECONDS
    times: list[float] = []
    while len(times) < runs and (len(times) < FEWEST_TIMED_RUNS or time.monotonic() < end):
        prediction = classifier.classify(noise)
        times.append(prediction.preprocess_ms + prediction.inference_ms)
    return round(min(times), 3)
