"""What an engine is made of: a release's files, and how models are run."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.worker.engines.engine_process import EngineJob

if TYPE_CHECKING:
    from agent.worker.choices import Preprocessing, RuntimeName


@dataclass(frozen=True)
class EngineSettings:
    """How engines run models. Times in seconds."""

    runtime: RuntimeName
    num_threads: int
    top_k: int
    preprocessing: Preprocessing
    load_seconds: float
    frame_seconds: float
    watched_frame_seconds: float
    """``frame_seconds`` while the release before can take over at once."""
    memory_bytes: int
    """Largest size of an engine; 0: twice its size when it was loaded, and 64 MiB."""


@dataclass(frozen=True)
class ReleaseFiles:
    """Where a release's model and labels are, and its ``model.json`` if it has one."""

    release: str
    model: Path
    labels: Path
    settings: Path | None = None


def job_of(files: ReleaseFiles, settings: EngineSettings, frames: int) -> EngineJob:
    """What a process of this one is told; ``frames`` is the descriptor of the frames' memory."""
    return EngineJob(
        parent=os.getpid(),
        frames=frames,
        model=str(files.model),
        labels=str(files.labels),
        settings=str(files.settings) if files.settings else None,
        top_k=settings.top_k,
        runtime=settings.runtime,
        num_threads=settings.num_threads,
        preprocessing=asdict(settings.preprocessing),
    )
