"""Proving a release before anything serves it: its bytes, then its model and labels together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from agent.store.names import PackageNames
from agent.store.release_store import ReleaseStore
from agent.store.releases import ReleaseDamaged
from agent.trial.limits import TrialLimits
from agent.trial.settings import ProofSettings
from agent.trial.trial import TrialFiles, try_model
from agent.trial.verdict import TrialReport
from agent.worker.sandbox.confinement import shortfalls
from agent.worker.settings import WorkerSettings
from states.model import Release
from states.ports import Evidence, Postponed, Rejected
from states.proof import Findings, GoldenFindings, judge
from states.reasons import Rejection, Transient

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _GoldenSource:
    """Where the golden set is, and how people know it."""

    path: Path
    named: Mapping[str, str]
    """Package, version and SHA-256; or the folder."""
    own: bool
    """Whether it is part of the release, not of this device's configuration."""


class ReleaseVerifier:
    """Implements :class:`states.ports.Verifier`; models are only opened in a sandbox.

    The trial runs them as ``worker`` would: same runtime, threads and preprocessing. The active
    release goes through the same trial, so that both are measured in one way.
    """

    def __init__(
        self,
        store: ReleaseStore,
        worker: WorkerSettings,
        names: PackageNames,
        proof: ProofSettings,
        limits: TrialLimits | None = None,
    ) -> None:
        self._store = store
        self._worker = worker
        self._names = names
        self.proof = proof
        """What is asked of a candidate; another one holds for the next that is judged."""
        self._limits = limits or TrialLimits(
            wall_seconds=proof.trial_seconds,
            golden_pictures=proof.golden_pictures,
            golden_seconds=proof.golden_seconds,
        )
        self._said_what_is_missing = False

    async def verify(self, release: Release, known_good: bool) -> Evidence:
        """Hash every byte again, then try the model.

        Raises Rejected, with what was measured until then; Postponed for bit rot, or for a golden
        set of this device's own that can't be used.
        """
        damaged = await asyncio.to_thread(self._store.verify_blobs, release)
        if damaged:
            names = ", ".join(package.name for package in damaged)
            raise Postponed(
                Transient.STORAGE_ERROR, f"{names} was damaged on disk; it is fetched again"
            )
        golden = self._golden_source(release)
        report = await self._try_candidate(release, golden)
        self._say_what_is_missing(report)
        active, active_evidence = (None, None)
        if not known_good:
            active, active_evidence = await self._try_active(golden)
        evidence = self._evidence(report, golden, active_evidence)
        fault = judge(report.findings, active, self.proof.proof_limits())
        if fault is not None:
            raise Rejected(fault.reason, fault.detail, evidence)
        logger.info("release %s passed its trial: %s", release.id, report)
        return evidence

    async def _try_candidate(self, release: Release, golden: _GoldenSource | None) -> TrialReport:
        try:
            return await self._try(release, golden, strict=True)
        except Rejected as refusal:
            if refusal.reason is Rejection.GOLDEN_SET_INVALID and golden and not golden.own:
                detail = f"update.golden_set {golden.path}: {refusal.detail}"
                raise Postponed(Transient.STORAGE_ERROR, detail) from refusal
            raise

    async def _try_active(
        self, golden: _GoldenSource | None
    ) -> tuple[Findings | None, Evidence | None]:
        """What the serving release shows; a candidate is not refused for want of that."""
        active = self._store.active()
        if active is None:
            return None, None
        try:
            release = await asyncio.to_thread(self._store.read_release, active)
            report = await self._try(release, golden, strict=False)
        except (ReleaseDamaged, Rejected, Postponed) as difficulty:
            logger.warning("the active release %s can't be compared with: %s", active, difficulty)
            return None, {"release": active, "not_measured": str(difficulty)}
        shown = {"latency_ms": report.latency_ms, "golden": _golden_evidence(report.golden)}
        return report.findings, {"release": active, **shown}

    async def _try(
        self, release: Release, golden: _GoldenSource | None, *, strict: bool
    ) -> TrialReport:
        files = self._files(release)
        return await try_model(
            replace(files, golden_set=golden.path if golden else None),
            self._limits,
            runtime=self._worker.runtime,
            num_threads=self._worker.num_threads,
            preprocessing=self._worker.preprocessing,
            golden_labels_must_be_known=strict,
        )

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

    def _golden_source(self, release: Release) -> _GoldenSource | None:
        package = release.package(self._names.golden_set_package)
        if package is not None:
            named = {
                "package": package.name,
                "version": package.version,
                "sha256": package.sha256,
            }
            return _GoldenSource(self._store.blob_path(package), named, own=True)
        folder = self.proof.golden_set
        return _GoldenSource(folder, {"folder": str(folder)}, own=False) if folder else None

    def _evidence(
        self, report: TrialReport, golden: _GoldenSource | None, active: Evidence | None
    ) -> Evidence:
        found = report.golden
        return {
            **asdict(replace(report, golden=None)),
            "golden_set": golden and {**golden.named, "digest": found.digest if found else None},
            "golden": _golden_evidence(found),
            "active": active,
            "limits": asdict(self.proof.proof_limits()),
        }

    def _say_what_is_missing(self, report: TrialReport) -> None:
        missing = list(shortfalls(report.sandbox))
        if missing and not self._said_what_is_missing:
            logger.warning("models are tried without a full sandbox: no %s", "; ".join(missing))
        self._said_what_is_missing = True


def _golden_evidence(golden: GoldenFindings | None) -> dict[str, Any] | None:
    if golden is None:
        return None
    return {
        "accuracy": round(golden.accuracy, 4),
        "right": golden.right,
        "pictures": golden.pictures,
        **asdict(golden),
    }
