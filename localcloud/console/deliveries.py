"""Packages, cohorts and deployments as people think of them: versions by package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from localcloud.console.paging import every
from localcloud.console.visit import Visit
from localcloud.model import Artifact, Cohort
from localcloud.storage.artifacts import ArtifactFilter
from localcloud.storage.database import Paging

HISTORY = 20


@dataclass(frozen=True)
class Deployed:
    """A deployment of a cohort; ``artifacts`` are what it lists."""

    id: str
    name: str
    at: str
    artifacts: Sequence[Artifact]

    @property
    def versions(self) -> dict[str, str]:
        """Its versions by package."""
        return {artifact.package: artifact.version for artifact in self.artifacts}

    @property
    def artifact_ids(self) -> list[str]:
        """The ids of what it lists."""
        return [artifact.id for artifact in self.artifacts]


@dataclass(frozen=True)
class Change:
    """What a deployment would do to one package; "" stands for none."""

    package: str
    before: str
    after: str

    @property
    def word(self) -> str:
        """The kind of change: added, removed, changed or kept."""
        if self.before == self.after:
            return "kept"
        if not self.before:
            return "added"
        return "changed" if self.after else "removed"


@dataclass(frozen=True)
class Version:
    """One version of a package, with the cohorts that have it now."""

    artifact: Artifact
    cohorts: Sequence[str]


def all_cohorts(visit: Visit) -> list[Cohort]:
    """The project's cohorts in the order they were made."""
    return list(every(lambda paging: visit.store.cohorts.page(visit.project_id, paging)))


def all_artifacts(visit: Visit) -> list[Artifact]:
    """The project's artifacts, the newest first."""
    store, project = visit.store, visit.project_id
    found = every(lambda paging: store.artifacts.page(project, ArtifactFilter(), paging))
    return list(found)[::-1]


def history(visit: Visit, cohort_id: str) -> list[Deployed]:
    """A cohort's newest deployments, the active one first."""
    return _newest(visit, cohort_id, HISTORY)


def active(visit: Visit, cohort_id: str) -> Deployed | None:
    """What a cohort has now."""
    return next(iter(_newest(visit, cohort_id, 1)), None)


def _newest(visit: Visit, cohort_id: str, most: int) -> list[Deployed]:
    store, project = visit.store, visit.project_id
    deployments, _ = store.deployments.page(project, cohort_id, None, Paging(per_page=most))
    ids = {id_ for deployment in deployments for id_ in deployment.artifact_ids}
    known = {id_: store.artifacts.get(project, id_) for id_ in ids}
    return [
        Deployed(
            id=deployment.deployment_id,
            name=deployment.name,
            at=deployment.created_at,
            artifacts=[known[id_] for id_ in deployment.artifact_ids],
        )
        for deployment in deployments
    ]


def versions_by_package(visit: Visit) -> dict[str, list[Version]]:
    """All packages with their versions, the newest first."""
    store, project = visit.store, visit.project_id
    users: dict[str, list[str]] = {}
    for cohort in all_cohorts(visit):
        deployed = active(visit, cohort.cohort_id)
        for artifact_id in deployed.artifact_ids if deployed else ():
            users.setdefault(artifact_id, []).append(cohort.name)
    packages = every(lambda paging: store.packages.page(project, paging))
    found: dict[str, list[Version]] = {package.package_id: [] for package in packages}
    for artifact in all_artifacts(visit):
        version = Version(artifact, users.get(artifact.id, []))
        found.setdefault(artifact.package, []).append(version)
    return found


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """What deploying ``after`` where ``before`` is does, package by package."""
    packages = sorted({*before, *after})
    return [Change(name, before.get(name, ""), after.get(name, "")) for name in packages]


def versions_of(artifacts: Iterable[Artifact]) -> dict[str, str]:
    """Artifacts as versions by package."""
    return {artifact.package: artifact.version for artifact in artifacts}
