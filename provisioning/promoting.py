"""A release goes from a canary cohort to another: what is known of it, and the plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provisioning.analysis.promotion import Evidence, setbacks_of
from provisioning.contenders import of_version, reader_of
from provisioning.deploying import CohortPlanner, Plan
from provisioning.errors import ProvisioningError, WrongUsage
from provisioning.fleet_view import DeviceView, FleetView
from provisioning.management import Management
from provisioning.metrics import MetricsReader, Observation
from provisioning.resources import Cohort, Deployment

BEFORE = timedelta(days=7)


class ChangedMeanwhile(ProvisioningError):  # noqa: N818 - reads as what happened
    """Another deployment was made while this one was being watched."""


@dataclass(frozen=True)
class _Side:
    """A cohort with the deployment it had when the promotion began."""

    cohort: Cohort
    deployment: Deployment | None
    version: str | None
    reader: MetricsReader


class Promotion:
    """Of what ``source`` was given to ``target``. ``plan`` is what would be deployed."""

    def __init__(
        self,
        management: Management,
        source: Cohort,
        target: Cohort,
        release_packages: tuple[str, str, str, str],
        signature_package: str,
    ) -> None:
        """Raises WrongUsage where the source has nothing, or is the target."""
        if source.cohort_id == target.cohort_id:
            raise WrongUsage(f"{source.name} can't be promoted to itself; name another cohort")
        planners = [
            CohortPlanner(management, cohort, release_packages, signature_package)
            for cohort in (source, target)
        ]
        deployed = planners[0].current
        if deployed is None:
            raise WrongUsage(f"cohort {source.name} was given nothing yet; deploy to it first")
        self.plan: Plan = planners[1].like(planners[0])
        self._management = management
        self._deployed = deployed
        self._source, self._target = (
            _Side(
                cohort,
                planner.current,
                planner.version_of(release_packages[0]),
                reader_of(management, cohort),
            )
            for cohort, planner in zip((source, target), planners, strict=True)
        )
        self._fleet = FleetView(management, release_packages, source.cohort_id)
        self._begun = deployed.created_at or datetime.now(UTC) - BEFORE
        self._earlier = reader_of(management, source)

    def look(self) -> Evidence:
        """What is known by now. Raises ManagementError, ChangedMeanwhile."""
        for side in (self._source, self._target):
            self._check_unchanged(side)
        devices = self._fleet.look()
        before, where = self._before()
        return Evidence(
            devices,
            self._setbacks(),
            _of_release(self._source.reader.read(self._begun), devices, self._source.version),
            before,
            where,
        )

    def _before(self) -> tuple[tuple[Observation, ...], str | None]:
        """Of the target's devices meanwhile; else of the source's before it had the release."""
        target = self._target
        if target.deployment is None:
            return (), None
        beside = of_version(target.reader.read(self._begun), target.version)
        if beside:
            return beside, f"in {target.cohort.name}"
        earlier = self._earlier.read(self._begun - BEFORE, self._begun)
        return of_version(earlier, target.version), f"in {self._source.cohort.name}"

    def _setbacks(self) -> dict[str, str]:
        wanted = {a.package: a.version for a in self.plan.artifacts}
        cohort = self._source.cohort.cohort_id
        events = self._management.ota_events(cohort_id=cohort, since=self._begun)
        return setbacks_of(list(events), wanted)

    def _check_unchanged(self, side: _Side) -> None:
        active = self._management.cohort(side.cohort.cohort_id).active_deployment_id
        known = side.deployment.deployment_id if side.deployment else None
        if active != known:
            raise ChangedMeanwhile(
                f"cohort {side.cohort.name} was given something else meanwhile; nothing was "
                "promoted: look at it, and run this again"
            )


def _of_release(
    observations: Iterable[Observation], devices: Iterable[DeviceView], version: str | None
) -> tuple[Observation, ...]:
    """Those of the release, which the devices that run it name; else those of its model."""
    releases = {device.release for device in devices if device.status == "current"} - {None}
    if not releases:
        return of_version(observations, version)
    return tuple(o for o in observations if o.metrics.release in releases)
