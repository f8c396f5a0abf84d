"""Looks at what may crash or hang, in a process of its own: ``python -m agent.doctor.probe``.

Reads ``{"what": "runtime" | "source", "worker": {…}}`` from standard input, the worker's settings
as JSON, and writes ``{"ok": "…"}`` or ``{"problem": "…"}``.
"""

from __future__ import annotations

import json
import os
import sys

from agent.worker.errors import WorkerError
from agent.worker.settings import WorkerSettings


def main() -> None:
    """Look, and say what there is."""
    question = json.load(sys.stdin)
    settings = WorkerSettings.model_validate(question["worker"])
    look = _runtime if question["what"] == "runtime" else _source
    # Libraries print to standard output too; ours is for the answer alone.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        answer = {"ok": look(settings)}
    except WorkerError as error:
        answer = {"problem": str(error)}
    answers.write(json.dumps(answer))
    answers.flush()


def _runtime(settings: WorkerSettings) -> str:
    from agent.worker.model.runtime import find_runtime

    return f"{find_runtime(settings.runtime).name} builds and runs an interpreter"


def _source(settings: WorkerSettings) -> str:
    from agent.worker.camera.source_address import SourceAddress
    from agent.worker.camera.sources import make_source

    address = SourceAddress.parse(settings.source)
    source = make_source(
        address,
        frames_per_second=settings.frames_per_second,
        order=settings.picture_order,
        seed=settings.seed,
    )
    source.open()
    try:
        height, width = source.read().picture.shape[:2]
    finally:
        source.close()
    return f"{address} gives pictures of {width} x {height}"


if __name__ == "__main__":
    main()
