"""Giving a cohort other packages: what would change, and then the deployment.

A deployment lists everything its devices are to hold, for good. So each starts from what the cohort
has, and says what differs.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from provisioning.companions import companions_of, is_companion
from provisioning.errors import UnexpectedAnswer, WrongUsage
from provisioning.management import Management
from provisioning.operator_settings import SIGNATURE_PACKAGE
from provisioning.resources import Artifact, Cohort, Deployment

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_MOST_NAMED = 8
_BACK = "back to "


@dataclass(frozen=True)
class Change:
    """What a package was and is to be; None where it is not deployed."""

    package: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Plan:
    """A deployment that isn't made yet, and what it replaces.

    Signatures are no part of either: ``signature`` is that of this one, once it is made, and
    ``was_signed`` says whether what it replaces has one.
    """

    cohort: Cohort
    name: str
    artifacts: tuple[Artifact, ...]
    replaced: tuple[Artifact, ...]
    was_signed: bool = False
    signature: Artifact | None = None

    @property
    def changes(self) -> list[Change]:
        """Every package of either, by name."""
        before = {artifact.package: artifact.version for artifact in self.replaced}
        after = {artifact.package: artifact.version for artifact in self.artifacts}
        names = sorted(before.keys() | after.keys())
        return [Change(name, before.get(name), after.get(name)) for name in names]

    @property
    def is_news(self) -> bool:
        """Whether any package changes."""
        return any(change.before != change.after for change in self.changes)

    def deploy(self, management: Management) -> Deployment:
        """Make the deployment: the cohort's devices are told at once."""
        signature = (self.signature,) if self.signature else ()
        ids = [artifact.id for artifact in (*self.artifacts, *signature)]
        return management.deploy(self.cohort.cohort_id, self.name, ids)


class CohortPlanner:
    """Plans for one cohort. ``release_packages``: model, labels, model settings, golden set.

    ``current`` is the deployment the cohort has, if any. Signatures are left out of all plans: each
    deployment gets one of its own.
    """

    def __init__(
        self,
        management: Management,
        cohort: Cohort,
        release_packages: tuple[str, str, str, str],
        signature_package: str = SIGNATURE_PACKAGE,
    ) -> None:
        self._cohort = cohort
        self._release_packages = release_packages
        self._signature_package = signature_package
        self._known = list(management.artifacts())
        self._signatures = {a.id for a in self._known if a.package == signature_package}
        self._history = _newest_first(management.deployments(cohort.cohort_id))
        self.current = _active(cohort, self._history)
        self._replaced = self._artifacts_of(self.current) if self.current else ()

    def version_of(self, package: str) -> str | None:
        """The version of a package that the cohort has; None where it has none of it."""
        return next((a.version for a in self._replaced if a.package == package), None)

    def release(self, version: str, others: Mapping[str, str], without: Collection[str]) -> Plan:
        """The release published as ``version``, in place of the one that is deployed.

        Its model settings and golden set are those of that version, or none. ``others`` and
        ``without`` as in :meth:`packages`, and stand above it. Raises WrongUsage.
        """
        self._check_there(without)
        model, labels, *optional = self._release_packages
        chosen = {model: version, labels: version}
        for package in optional:
            chosen |= {package: version} if self._find(package, version) else {}
        dropped = {name for name in optional if name not in {**chosen, **others}}
        return self._plan(f"{model} {version}", {**chosen, **others}, {*without, *dropped})

    def packages(self, versions: Mapping[str, str], without: Collection[str]) -> Plan:
        """What is deployed, with other ``versions`` of some packages and ``without`` others.

        Raises WrongUsage for a version nobody published, or where devices would lack something.
        """
        self._check_there(without)
        if self._signature_package in {*versions, *without}:
            raise WrongUsage(
                f"{self._signature_package} is made for each deployment; "
                "see --signing-key and --unsigned"
            )
        said = [f"{package} {version}" for package, version in versions.items()]
        dropped = set(without)
        name = ", ".join([*said, *(f"without {package}" for package in sorted(dropped))])
        return self._plan(name, versions, dropped)

    def again(self) -> Plan:
        """What the cohort has, unchanged: to be signed anew."""
        model = self._release_packages[0]
        return replace(self.packages({}, ()), name=f"{model} {self.version_of(model)} signed anew")

    def rollback(self) -> Plan:
        """The packages of the deployment before the current one. Raises WrongUsage for none."""
        current = {artifact.id for artifact in self._replaced}
        for deployment in self._history:
            ids = set(deployment.artifact_ids) - self._signatures
            if self._is_older(deployment) and ids != current:
                name = deployment.name or deployment.deployment_id
                return self._made(_BACK + name.removeprefix(_BACK), self._artifacts_of(deployment))
        raise WrongUsage(
            f"cohort {self._cohort.name} has nothing to go back to; deploy a version instead"
        )

    def like(self, other: CohortPlanner) -> Plan:
        """What another cohort has; only packages of other programs that it lacks stay."""
        given = {a.package: a.version for a in other._replaced if not is_companion(a)}
        dropped = {package for package in self._release_packages if package not in given}
        model = self._release_packages[0]
        return self._plan(f"{model} {given.get(model)} from {other._cohort.name}", given, dropped)

    def _plan(self, name: str, versions: Mapping[str, str], without: set[str]) -> Plan:
        kept = {a.package: a for a in self._replaced if not is_companion(a)}
        chosen = kept | {package: self._get(package, v) for package, v in versions.items()}
        for package in without:
            chosen.pop(package, None)
        for package in self._release_packages[:2]:
            if package not in chosen:
                raise WrongUsage(
                    f"devices need {package}, and cohort {self._cohort.name} has none: "
                    f"give --version, or --package {package}=VERSION"
                )
        patches = [p for artifact in chosen.values() for p in companions_of(self._known, artifact)]
        return self._made(name, (*chosen.values(), *patches))

    def _made(self, name: str, artifacts: tuple[Artifact, ...]) -> Plan:
        deployed = set(self.current.artifact_ids) if self.current else set()
        signed = bool(deployed & self._signatures)
        return Plan(self._cohort, name, artifacts, self._replaced, was_signed=signed)

    def _check_there(self, without: Collection[str]) -> None:
        there = {artifact.package for artifact in self._known}
        for package in without:
            if package not in there:
                raise WrongUsage(f"nothing is published as {package}; check the name")

    def _find(self, package: str, version: str) -> Artifact | None:
        matching = (a for a in self._known if (a.package, a.version) == (package, version))
        return next(matching, None)

    def _get(self, package: str, version: str) -> Artifact:
        found = self._find(package, version)
        if found is None:
            there = [a.version for a in self._known if a.package == package]
            raise WrongUsage(_no_version(package, version, there))
        return found

    def _is_older(self, deployment: Deployment) -> bool:
        if self.current is None:
            return False
        return self._history.index(deployment) > self._history.index(self.current)

    def _artifacts_of(self, deployment: Deployment) -> tuple[Artifact, ...]:
        known = {artifact.id: artifact for artifact in self._known}
        try:
            ids = (each for each in deployment.artifact_ids if each not in self._signatures)
            return tuple(known[artifact_id] for artifact_id in ids)
        except KeyError as error:
            raise UnexpectedAnswer(
                "GET artifacts",
                f"artifact {error} of deployment {deployment.name} is missing; try again",
            ) from error


def cohort_named(management: Management, name: str) -> Cohort:
    """The cohort of that name or id. Raises WrongUsage, naming those there are."""
    cohorts = list(management.cohorts())
    for cohort in cohorts:
        if name in (cohort.cohort_id, cohort.name):
            return cohort
    there = ", ".join(sorted(cohort.name for cohort in cohorts)) or "none yet"
    raise WrongUsage(
        f"no cohort {name} in project {management.project}; there are: {there}. Devices and their "
        "cohort are made with: edgeferry provision enroll"
    )


def _newest_first(deployments: Iterable[Deployment]) -> list[Deployment]:
    # Sorting is stable: where two have one time, the list's own order decides.
    return sorted(deployments, key=lambda d: d.created_at or _EARLIEST, reverse=True)


def _active(cohort: Cohort, history: list[Deployment]) -> Deployment | None:
    active = (d for d in history if d.deployment_id == cohort.active_deployment_id)
    return next(active, history[0] if history else None)


def _no_version(package: str, version: str, there: list[str]) -> str:
    if not there:
        return f"nothing is published as {package}; run: edgeferry publish, or check the name"
    near = difflib.get_close_matches(version, there, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    named = ", ".join(there[: -_MOST_NAMED - 1 : -1])
    return f"{package} has no version {version}{hint} (published, newest first: {named})"
