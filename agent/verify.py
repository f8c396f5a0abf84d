"""Proving a release before anything serves it: its bytes, then its model and labels together."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from pathlib import Path

from agent.store.names import PackageNames
from agent.store.release_store import ReleaseStore
from agent.trial import TrialFiles, TrialLimits, TrialReport, try_model
from agent.worker.confinement import shortfalls
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
        names: PackageNames,
    ) -> None:
        self._store = store
        self._limits = limits
        self._worker = worker
        self._names = names
        self._said_what_is_missing = False

    async def verify(self, release: Release, known_good: bool) -> Evidence:  # noqa: ARG002
        """Hash every byte again, then try the model. Raises Rejected, or Postponed for bit rot."""
        damaged = await asyncio.to_thread(self._store.verify_blobs, release)
        if damaged:
            names = ", ".join(package.name for package in damaged)
            raise Postponed(
                Transient.STORAGE_ERROR, f"{names} was damaged on disk; it is fetched again"
            )
        report = await try_model(
            self._files(release),
            self._limits,
            runtime=self._worker.runtime,
            num_threads=self._worker.num_threads,
            preprocessing=self._worker.preprocessing,
        )
        self._say_what_is_missing(report)
        logger.info("release %s passed its trial: %s", release.id, report)
        return asdict(report)

    def _files(self, release: Release) -> TrialFiles:
        names = self._names
        model, labels, settings = (
            self._path(release, name)
            for name in (names.model_package, names.labels_package, names.model_settings_package)
        )
        assert model is not None, "the plan refuses incomplete releases"
        assert labels is not None, "the plan refuses incomplete releases"
        return TrialFiles(model, labels, settings)

    def _path(self, release: Release, name: str) -> Path | None:
        package = release.package(name)
        return self._store.blob_path(package) if package else None

    def _say_what_is_missing(self, report: TrialReport) -> None:
        missing = list(shortfalls(report.sandbox))
        if missing and not self._said_what_is_missing:
            logger.warning("models are tried without a full sandbox: no %s", "; ".join(missing))
        self._said_what_is_missing = True
