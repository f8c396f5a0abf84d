"""One interpreter in a process of its own: ``python -m agent.worker.engines.engine_process JOB``.

Started by :class:`agent.worker.engines.engine.Engine` with a socket and the frames' memory as
descriptors. It answers ``{"ready": …}`` or ``{"refused": …}`` once, then every frame it is told of,
in order. It ends when the socket is closed.
"""

from __future__ import annotations

import json
import mmap
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from agent.worker.garbage import spare_what_stays
from agent.worker.sandbox import child
from agent.worker.sandbox.confinement import Confinement

if TYPE_CHECKING:
    from agent.worker.model.classifier import Classifier

MESSAGE_BYTES = 65536

P = ParamSpec("P")
T = TypeVar("T")


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
    """Load quietly, in threads of low priority, then serve in this one."""
    job = EngineJob(**json.loads(sys.argv[1]))
    child.die_with_parent(job.parent)
    child.ignore_terminal()
    child.be_ended_first()
    confinement = Confinement()
    confinement.leave_network()
    worker, threads = socket.socket(fileno=job.socket), child.Threads()
    try:
        engine = _load(job, confinement)
    except _Refusal as refusal:
        _send(worker, {"refused": refusal.answer})
        return
    _quietly(spare_what_stays)
    threads.restore_priorities()
    _send(worker, {"ready": engine.description})
    engine.serve(worker)


class _Refusal(Exception):  # noqa: N818 - reads as what happened
    """The release, or this machine, can't be served with; ``answer`` says why."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.answer = {"reason": reason, "detail": detail}


def _load(job: EngineJob, confinement: Confinement) -> _Loaded:
    # Threads the runtime starts inherit the priority. A model that loads loudly is better than one
    # that is slow for good.
    may_be_quiet = job.num_threads == 1 or child.may_raise_priority()
    _quietly(_import_libraries)
    from agent.worker.errors import RuntimeUnavailable
    from states.ports import Rejected

    try:
        engine = _quietly(_Loaded, job)
        # Binds this thread and those it starts from now on.
        confinement.close_off()
        engine.description["sandbox"] = confinement.in_force
        if may_be_quiet:
            _quietly(engine.open_model)
        else:
            engine.open_model()
    except Rejected as error:
        raise _Refusal(error.reason, error.detail) from error
    except RuntimeUnavailable as error:
        raise _Refusal("runtime-unavailable", str(error)) from error
    except OSError as error:
        detail = f"{error.filename or job.model}: {error.strerror or error}"
        raise _Refusal("unreadable", detail) from error
    return engine


def _quietly(function: Callable[P, T], *args: P.args, **given: P.kwargs) -> T:
    """Call it in a thread of low priority that has ended when this returns.

    One that lived on would now and then hold the interpreter's lock, if only to wait for more; on a
    busy machine it is then not let run for hundreds of milliseconds, and this thread waits for it.
    """
    with ThreadPoolExecutor(1, initializer=child.lower_thread_priority) as quiet:
        return quiet.submit(function, *args, **given).result()


def _import_libraries() -> None:
    """All that is ever needed: once it is closed off, this process can open no file."""
    import cv2

    from agent.worker.model.classifier import probe_pictures

    # More would compete with the camera for nothing.
    cv2.setNumThreads(1)
    probe_pictures(8, 8)  # what numpy imports on first use, it has to import now


class _Loaded:
    """The release's files and the runtime; after :meth:`open_model` all that serving takes."""

    def __init__(self, job: EngineJob) -> None:
        from agent.worker.camera.frames import SLOT_BYTES, SLOTS
        from agent.worker.camera.pictures import frame_view
        from agent.worker.choices import Preprocessing
        from agent.worker.model.classifier import ClassifierSettings
        from agent.worker.model.material import read_material
        from agent.worker.model.runtime import find_runtime

        settings = ClassifierSettings(job.num_threads, Preprocessing.from_json(job.preprocessing))
        own = Path(job.settings) if job.settings else None
        self._runtime = find_runtime(job.runtime)  # type: ignore[arg-type]  # checked by the settings
        self._material = read_material(Path(job.model), Path(job.labels), own, settings)
        self._frames = mmap.mmap(job.frames, SLOTS * SLOT_BYTES, prot=mmap.PROT_READ)
        self._top_k = job.top_k
        self._view = frame_view
        self._classifier: Classifier
        self.description: dict[str, Any] = {"runtime": self._runtime.name}

    def open_model(self) -> None:
        """Build the interpreter and warm it up. Raises Rejected, RuntimeUnavailable."""
        from agent.worker.model.classifier import Classifier

        # What the sandbox broke is no fault of the model.
        self._runtime.check()
        material = self._material
        self._classifier = Classifier(
            self._runtime, material.model, material.labels, material.settings
        )
        self._classifier.warm_up()
        self.description["input"] = list(self._classifier.input.shape)
        self.description["output"] = list(self._classifier.output.shape)

    def serve(self, worker: socket.socket) -> None:
        """Answer every frame, in order, until the socket is closed."""
        from states.ports import Rejected

        while message := worker.recv(MESSAGE_BYTES):
            request = json.loads(message)
            try:
                if request["quiet"]:
                    answer = _quietly(self._answer, request)
                else:
                    answer = self._answer(request)
            except Rejected as error:
                answer = {"failed": {"reason": error.reason, "detail": error.detail}}
            _send(worker, answer)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        picture = self._view(self._frames, request["slot"], request["height"], request["width"])
        prediction = self._classifier.classify(picture)
        best = prediction.best(self._classifier.labels, self._top_k)
        times = [round(prediction.preprocess_ms, 3), round(prediction.inference_ms, 3)]
        return {"frame": request["frame"], "top": best, "ms": times}


def _send(worker: socket.socket, message: dict[str, Any]) -> None:
    worker.send(json.dumps(message).encode())


if __name__ == "__main__":
    main()
