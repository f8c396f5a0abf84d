"""One interpreter in a process of its own: ``python -m agent.worker.engine_process JOB``.

Started by :class:`agent.worker.engine.Engine` with a socket and the frames' memory as descriptors.
It answers ``{"ready": …}`` or ``{"refused": …}`` once, then every frame it is told of, in order.
It ends when the socket is closed.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.worker import child

if TYPE_CHECKING:
    from agent.worker.classifier import Classifier

MESSAGE_BYTES = 65536


@dataclass(frozen=True)
class EngineJob:
    """What an engine is started with; JSON on its command line."""

    parent: int
    frames: int
    """Read-only descriptor of the frames' shared memory."""
    model: str
    labels: str
    settings: str | None
    """The release's ``model.json``."""
    top_k: int
    runtime: str
    num_threads: int
    preprocessing: dict[str, Any]
    socket: int = -1
    """Descriptor of a SOCK_SEQPACKET socket."""

    def connected(self, descriptor: int) -> EngineJob:
        """This job over that socket."""
        return replace(self, socket=descriptor)

    def to_json(self) -> str:
        """The command line argument."""
        return json.dumps(asdict(self))


def main() -> None:
    """Load quietly in a thread of low priority, then serve in this one."""
    job = EngineJob(**json.loads(sys.argv[1]))
    child.die_with_parent(job.parent)
    child.forbid_new_privileges()
    child.leave_no_core()
    child.ignore_terminal()
    worker = socket.socket(fileno=job.socket)
    loader = _Loader(job)
    loader.start()
    loader.join()
    if loader.classifier is None:
        _send(worker, loader.answer)
        return
    child.restore_priorities()
    _send(worker, loader.answer)
    _serve(worker, job, loader.classifier)


class _Loader(threading.Thread):
    """Imports the libraries, loads the model and warms it up at low priority."""

    def __init__(self, job: EngineJob) -> None:
        super().__init__(name="load")
        self._job = job
        self.classifier: Classifier | None = None
        self.answer: dict[str, Any] = {
            "refused": {
                "reason": "model-crashed",
                "detail": "the engine could not load it",
            }
        }

    def run(self) -> None:
        # Threads the runtime starts inherit the priority, and only root may raise it again. A model
        # that loads loudly is better than one that is slow for good.
        if self._job.num_threads == 1 or os.geteuid() == 0:
            child.lower_thread_priority()
        from agent.worker.errors import RuntimeUnavailable
        from states.ports import Rejected

        try:
            self._load()
        except Rejected as error:
            self._refuse(error.reason, error.detail)
        except RuntimeUnavailable as error:
            self._refuse("runtime-unavailable", str(error))
        except OSError as error:
            self._refuse(
                "unreadable", f"{error.filename or self._job.model}: {error.strerror or error}"
            )

    def _load(self) -> None:
        import cv2

        from agent.worker.choices import Preprocessing
        from agent.worker.classifier import Classifier, ClassifierSettings
        from agent.worker.material import read_material
        from agent.worker.runtime import find_runtime

        job = self._job
        cv2.setNumThreads(
            1
        )  # more would compete with the camera for nothing on such small pictures
        settings = ClassifierSettings(job.num_threads, Preprocessing.from_json(job.preprocessing))
        runtime = find_runtime(job.runtime)  # type: ignore[arg-type]  # checked by the settings
        own = Path(job.settings) if job.settings else None
        material = read_material(Path(job.model), Path(job.labels), own, settings)
        classifier = Classifier(runtime, material.model, material.labels, material.settings)
        classifier.warm_up()
        self.classifier = classifier
        shape = list(classifier.input.shape)
        self.answer = {
            "ready": {
                "runtime": runtime.name,
                "input": shape,
                "output": list(classifier.output.shape),
            }
        }

    def _refuse(self, reason: str, detail: str) -> None:
        self.answer = {"refused": {"reason": reason, "detail": detail}}


def _serve(worker: socket.socket, job: EngineJob, classifier: Classifier) -> None:
    from agent.worker.frames import SLOT_BYTES, SLOTS, frame_view
    from states.ports import Rejected

    memory = mmap.mmap(job.frames, SLOTS * SLOT_BYTES, prot=mmap.PROT_READ)
    quiet = ThreadPoolExecutor(1, initializer=child.lower_thread_priority)
    while message := worker.recv(MESSAGE_BYTES):
        request = json.loads(message)
        picture = frame_view(memory, request["slot"], request["height"], request["width"])
        try:
            if request["quiet"]:
                prediction = quiet.submit(classifier.classify, picture).result()
            else:
                prediction = classifier.classify(picture)
        except Rejected as error:
            _send(worker, {"failed": {"reason": error.reason, "detail": error.detail}})
            continue
        best = prediction.best(classifier.labels, job.top_k)
        times = [round(prediction.preprocess_ms, 3), round(prediction.inference_ms, 3)]
        _send(worker, {"frame": request["frame"], "top": best, "ms": times})


def _send(worker: socket.socket, message: dict[str, Any]) -> None:
    worker.send(json.dumps(message).encode())


if __name__ == "__main__":
    main()
