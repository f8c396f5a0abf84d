"""Packages, artifacts, cohorts, deployments, and what devices say about them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from provisioning.errors import AlreadyExists, ArtifactDiffers
from provisioning.project_api import ProjectApi, as_base64, given, read, segment
from provisioning.resources import Artifact, Cohort, Deployment, OtaEvent, Package
from provisioning.rest import PAGE, entries_of


class DeliveryCalls(ProjectApi):
    """The calls about what devices get."""

    def packages(self) -> Iterator[Package]:
        """The project's packages."""
        return self._list(Package, self._owned("/packages"))

    def artifacts(
        self, *, package: str | None = None, version: str | None = None
    ) -> Iterator[Artifact]:
        """All artifacts, or those of that package and version."""
        path = self._in_project("/artifacts")
        return self._list(Artifact, path, package=package, version=version)

    def upload_artifact(self, package: str, version: str, content: bytes) -> Artifact:
        """A new immutable version of a package. Raises AlreadyExists."""
        body = {
            "projectId": self.project,
            "package": package,
            "version": version,
            "content": as_base64(content),
        }
        return self._send("POST", Artifact, "artifacts", body)

    def publish(self, package: str, version: str, content: bytes) -> Artifact:
        """The artifact with this content, uploaded unless it is there already.

        Raises:
            ArtifactDiffers: that version exists with other content.
        """
        try:
            return self.upload_artifact(package, version, content)
        except AlreadyExists:
            found = self.published(package, version, content)
            if found is None:
                raise
            return found

    def published(self, package: str, version: str, content: bytes) -> Artifact | None:
        """The artifact with this content; None when the version is free.

        Raises:
            ArtifactDiffers: that version exists with other content.
        """
        found = next(self.artifacts(package=package, version=version), None)
        if found is None:
            return None
        digest = hashlib.sha256(content).hexdigest()
        if found.size != len(content) or found.sha256 not in (None, digest):
            raise ArtifactDiffers(package, version)
        return found

    def cohorts(self) -> Iterator[Cohort]:
        """The project's cohorts."""
        return self._list(Cohort, self._owned("/cohorts"))

    def cohort(self, cohort_id: str) -> Cohort:
        """One cohort."""
        return self._get(Cohort, self._owned(f"/cohorts/{segment(cohort_id)}"))

    def create_cohort(self, name: str) -> str:
        """A new cohort; returns its id. Raises AlreadyExists."""
        return self._send("POST", Cohort, self._owned("/cohorts"), {"name": name}).cohort_id

    def ensure_cohort(self, name: str) -> str:
        """The id of the cohort of that name or id, made if there is none."""
        for cohort in self.cohorts():
            if name in (cohort.name, cohort.cohort_id):
                return cohort.cohort_id
        return self.create_cohort(name)

    def deployments(self, cohort_id: str) -> Iterator[Deployment]:
        """What a cohort was given."""
        return self._list(Deployment, self._owned(f"/cohorts/{segment(cohort_id)}/deployments"))

    def deploy(self, cohort_id: str, name: str, artifact_ids: Sequence[str]) -> Deployment:
        """Give artifacts to a cohort, for good: all packages its devices need, changed or not."""
        path = self._owned(f"/cohorts/{segment(cohort_id)}/deployments")
        return self._send(
            "POST", Deployment, path, {"name": name, "artifactIds": list(artifact_ids)}
        )

    def ota_events(
        self,
        *,
        device_id: str | None = None,
        cohort_id: str | None = None,
        package: str | None = None,
        since: datetime | None = None,
    ) -> Iterator[OtaEvent]:
        """What devices reported, newest first, fetched as it is read; ``since`` needs a zone."""
        filters = {
            "deviceId": device_id,
            "cohortId": cohort_id,
            "packageId": package,
            "startTime": since.astimezone(UTC).isoformat() if since else None,
        }
        query = {**given(filters), "limit": PAGE}
        path = self._owned("/ota-events")
        while True:
            answer = self._api.get(path, query)
            for entry in entries_of(answer, f"GET {path}"):
                yield read(OtaEvent, entry, f"GET {path}")
            query["pageToken"] = answer.get("nextPageToken") or ""
            if not query["pageToken"]:
                return
