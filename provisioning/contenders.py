"""The two sides of a comparison: releases or cohorts, and what their devices measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provisioning.deploying import CohortPlanner, cohort_named
from provisioning.errors import WrongUsage
from provisioning.management import Management
from provisioning.metrics import MetricsReader, Observation
from provisioning.resources import Cohort

USUAL_DAYS = 7
_MOST_NAMED = 6


@dataclass(frozen=True)
class Contender:
    """One side; ``name`` is what the operator called it."""

    name: str
    observations: tuple[Observation, ...]

    @property
    def releases(self) -> list[str]:
        """Their ids, those that classified most first."""
        return _releases(self.observations)

    @property
    def versions(self) -> list[str]:
        """Of the model package."""
        return sorted({o.metrics.version for o in self.observations})


@dataclass(frozen=True)
class Contest:
    """Both sides, and when what they measured arrived: ``until`` None means until now.

    ``unreadable`` documents were left out.
    """

    a: Contender
    b: Contender
    since: datetime
    until: datetime | None
    unreadable: int


def releases_contest(
    management: Management,
    names: tuple[str, str],
    cohort: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Contest:
    """Two releases, each named by version or by the beginning of its id, on whatever device.

    ``cohort`` narrows the devices; without ``since`` the last USUAL_DAYS days count. Raises
    WrongUsage for a release that measured nothing or is not the only one of that name.
    """
    devices = None
    if cohort is not None:
        found = cohort_named(management, cohort)
        devices = [d.id for d in management.devices(cohort_id=found.cohort_id)]
    start = since or (until or datetime.now(UTC)) - timedelta(days=USUAL_DAYS)
    reader = MetricsReader(management, devices)
    seen = reader.read(start, until)
    sides = [Contender(name, _of_release(seen, name, start)) for name in names]
    return Contest(sides[0], sides[1], start, until, reader.unreadable)


def cohorts_contest(
    management: Management,
    names: tuple[str, str],
    release_packages: tuple[str, str, str, str],
    since: datetime | None,
    until: datetime | None,
) -> Contest:
    """Two cohorts, each with the release it was given, over the same time.

    Without ``since`` from when both had theirs. Devices that run another model version don't count.
    Raises WrongUsage.
    """
    cohorts = [cohort_named(management, name) for name in names]
    if cohorts[0].cohort_id == cohorts[1].cohort_id:
        raise WrongUsage(f"{names[0]} and {names[1]} are one cohort; name two")
    plans = [CohortPlanner(management, cohort, release_packages) for cohort in cohorts]
    start = since or max(
        _since_when(plan, cohort) for plan, cohort in zip(plans, cohorts, strict=True)
    )
    readers = [reader_of(management, cohort) for cohort in cohorts]
    sides = [
        Contender(name, of_version(reader.read(start, until), plan.version_of(release_packages[0])))
        for name, reader, plan in zip(names, readers, plans, strict=True)
    ]
    unreadable = sum(reader.unreadable for reader in readers)
    return Contest(sides[0], sides[1], start, until, unreadable)


def reader_of(management: Management, cohort: Cohort) -> MetricsReader:
    """Of the devices that are in a cohort now."""
    return MetricsReader(management, [d.id for d in management.devices(cohort_id=cohort.cohort_id)])


def of_version(observations: Iterable[Observation], version: str | None) -> tuple[Observation, ...]:
    """Those of a version of the model package."""
    return tuple(o for o in observations if o.metrics.version == version)


def _since_when(plan: CohortPlanner, cohort: Cohort) -> datetime:
    if plan.current is None:
        raise WrongUsage(f"cohort {cohort.name} was given nothing yet; deploy to it first")
    return plan.current.created_at or datetime.now(UTC) - timedelta(days=USUAL_DAYS)


def _of_release(
    observations: Sequence[Observation], name: str, since: datetime
) -> tuple[Observation, ...]:
    by_version = of_version(observations, name)
    if by_version:
        return by_version
    begun = tuple(o for o in observations if o.metrics.release.startswith(name))
    if len(ids := _releases(begun)) > 1:
        raise WrongUsage(f"{name} may be {' or '.join(ids[:_MOST_NAMED])}; give more of the id")
    if not begun:
        raise WrongUsage(
            f"no device measured a release {name} since {since:%Y-%m-%d %H:%M} UTC; "
            f"there are: {_there(observations)}"
        )
    return begun


def _there(observations: Sequence[Observation]) -> str:
    versions = {o.metrics.release: o.metrics.version for o in observations}
    named = [f"{versions[id_]} ({id_})" for id_ in _releases(observations)[:_MOST_NAMED]]
    return ", ".join(named) or "none; do the devices send metrics? (docs/telemetry.md)"


def _releases(observations: Iterable[Observation]) -> list[str]:
    frames: dict[str, int] = {}
    for o in observations:
        frames[o.metrics.release] = frames.get(o.metrics.release, 0) + o.metrics.classified
    return sorted(frames, key=lambda release: (-frames[release], release))
