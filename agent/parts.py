"""Parts that the running agent and whoever only looks at a device have in common."""

from __future__ import annotations

from agent.config import Settings
from agent.store.release_store import ReleaseStore
from agent.worker_port.client import WorkerClient
from agent.worker_port.signal import SignalWorker


def open_store(settings: Settings) -> ReleaseStore:
    """The release store of this configuration."""
    device = settings.device
    return ReleaseStore(
        device.state_dir,
        names=device.names,
        reserve_bytes=device.reserve_bytes,
        keep_releases=device.keep_releases,
    )


def worker_of(
    settings: Settings, store: ReleaseStore, answer_seconds: float = 10.0
) -> WorkerClient | SignalWorker:
    """The worker this configuration names, and how long its answers are waited for."""
    state_dir, worker = settings.device.state_dir, settings.worker
    if worker.kind == "signal":
        return SignalWorker(worker.pid_path(state_dir), store.active)
    return WorkerClient(
        worker.socket_path(state_dir),
        state_dir / "releases",
        labels_file=settings.device.names.labels_file,
        load_seconds=worker.load_seconds,
        answer_seconds=answer_seconds,
    )
