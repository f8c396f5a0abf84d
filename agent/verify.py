"""Proving a release before anything serves it: its bytes, then its model and labels together."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from pathlib import Path

from agent.store.release_store import ReleaseStore
from agent.trial import TrialLimits, try_model
from agent.worker.settings import WorkerSettings
from states.model import Release
from states.ports import Evidence, Postponed
from states.reasons import Transient

logger = logging.getLogger(__name__)


class ReleaseVerifier:
    """Implements :class:`states.ports.Verifier`; models are only opened in a sandbox.

    The trial runs them as ``worker`` would: same runtime, threads and preprocessing.
    """

    def __init__(
        self,
        store: ReleaseStore,
        limits: TrialLimits,
        worker: WorkerSettings,
        *,
        model_package: str,
        labels_package: str,
    ) -> None:
        self._store = store
        self._limits = limits
        self._worker = worker
        self._model_package = model_package
        self._labels_package = labels_package

    async def verify(self, release: Release, known_good: bool) -> Evidence:  # noqa: ARG002
        """Hash every byte again, then try the model. Raises Rejected, or Postponed for bit rot."""
        damaged = await asyncio.to_thread(self._store.verify_blobs, release)
        if damaged:
            names = ", ".join(package.name for package in damaged)
            raise Postponed(
                Transient.STORAGE_ERROR, f"{names} was damaged on disk; it is fetched again"
            )
        report = await try_model(
            self._path(release, self._model_package),
            self._path(release, self._labels_package),
            self._limits,
            runtime=self._worker.runtime,
            num_threads=self._worker.num_threads,
            preprocessing=self._worker.preprocessing,
        )
        logger.info("release %s passed its trial: %s", release.id, report)
        return asdict(report)

    def _path(self, release: Release, name: str) -> Path:
        package = release.package(name)
        assert package is not None, "the plan refuses incomplete releases"
        return self._store.blob_path(package)
