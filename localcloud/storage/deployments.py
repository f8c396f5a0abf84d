"""Deployments of cohorts, and the manifests devices get."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from localcloud.changes import Changes, Topic
from localcloud.errors import InvalidArgument
from localcloud.identifiers import check_object_id, object_id, timestamp
from localcloud.model import Artifact, Deployment
from localcloud.storage.artifacts import Artifacts
from localcloud.storage.cohorts import Cohorts, active_deployment
from localcloud.storage.database import Conditions, Database, Paging, Row
from protocol.formats import ContentFormat
from protocol.manifest import Component, Manifest, encode_manifest


@dataclass(frozen=True)
class EncodedManifest:
    """A manifest in both encodings, made once so that every reader gets the same bytes."""

    cbor: bytes
    json: bytes

    def payload(self, content_format: ContentFormat) -> bytes:
        """The bytes in CBOR or JSON."""
        return self.cbor if content_format == ContentFormat.CBOR else self.json


def encode_both(manifest: Manifest) -> EncodedManifest:
    """Encode a manifest as CBOR and as JSON."""
    return EncodedManifest(
        encode_manifest(manifest, ContentFormat.CBOR), encode_manifest(manifest, ContentFormat.JSON)
    )


NOTHING_DEPLOYED = encode_both(Manifest(0, ()))


class Deployments:
    """Deployments; the newest of a cohort is the active one and none ever changes."""

    def __init__(
        self, database: Database, changes: Changes, cohorts: Cohorts, artifacts: Artifacts
    ) -> None:
        self._db = database
        self._changes = changes
        self._cohorts = cohorts
        self._artifacts = artifacts

    def create(
        self, project_id: str, cohort_id: str, name: str, artifact_ids: Sequence[str]
    ) -> Deployment:
        """Deploy these artifacts to the cohort; its devices are told at once."""
        self._cohorts.get(project_id, cohort_id)
        artifacts = [self._artifacts.get(project_id, artifact_id) for artifact_id in artifact_ids]
        _refuse_ambiguous(artifacts)
        deployment_id = object_id()
        with self._db.atomic():
            sequence = self._next_sequence(project_id)
            manifest = encode_both(_manifest(sequence, artifacts))
            self._db.execute(
                "INSERT INTO deployments VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                *(deployment_id, project_id, cohort_id, name or f"deployment-{sequence}", sequence),
                *(manifest.cbor, manifest.json, timestamp()),
            )
            for position, artifact in enumerate(artifacts):
                self._db.execute(
                    "INSERT INTO deployment_artifacts VALUES (?, ?, ?)",
                    *(deployment_id, artifact.id, position),
                )
        self._announce(project_id, cohort_id)
        return self.get(project_id, cohort_id, deployment_id)

    def get(self, project_id: str, cohort_id: str, deployment_id: str) -> Deployment:
        """One deployment, or NotFound."""
        row = self._db.one(
            f"deployment not found: {deployment_id}",
            "SELECT * FROM deployments WHERE project_id = ? AND cohort_id = ? AND id = ?",
            *(project_id, cohort_id, check_object_id(deployment_id)),
        )
        return self._record(row)

    def page(
        self, project_id: str, cohort_id: str, name: str | None, paging: Paging
    ) -> tuple[list[Deployment], int]:
        """The cohort's deployments, newest first."""
        self._cohorts.get(project_id, cohort_id)
        conditions = Conditions(project_id=project_id, cohort_id=cohort_id)
        conditions.add_given("name = ?", name)
        rows, total = self._db.page("deployments", conditions, "sequence DESC", paging)
        return [self._record(row) for row in rows], total

    def manifest_for(self, device_id: str) -> EncodedManifest:
        """What the device is to hold: its cohort's active deployment, or nothing."""
        row = self._db.row(
            "SELECT manifest_cbor, manifest_json FROM deployments JOIN devices"
            " ON deployments.project_id = devices.project_id"
            " AND deployments.cohort_id = devices.cohort_id"
            " WHERE devices.id = ? ORDER BY sequence DESC LIMIT 1",
            device_id,
        )
        if row is None:
            return NOTHING_DEPLOYED
        return EncodedManifest(row["manifest_cbor"], row["manifest_json"])

    def active_cohort_with(self, device_id: str, package: str) -> str | None:
        """The device's cohort if its active deployment lists the package, else None."""
        device = self._db.row("SELECT project_id, cohort_id FROM devices WHERE id = ?", device_id)
        if device is None or device["cohort_id"] is None:
            return None
        listed = self._db.row(
            "SELECT 1 FROM deployment_artifacts JOIN artifacts ON artifacts.id = artifact_id"
            " WHERE deployment_id = ? AND package = ?",
            *(active_deployment(self._db, device["project_id"], device["cohort_id"]), package),
        )
        return str(device["cohort_id"]) if listed else None

    def _next_sequence(self, project_id: str) -> int:
        # Seconds, because the device SDK keeps 32 bits; never the same number twice, not even when
        # a cohort was deleted with its deployments.
        [counted] = self._db.rows(
            "UPDATE projects SET last_sequence = max(last_sequence + 1, ?) WHERE id = ?"
            " RETURNING last_sequence",
            *(int(time.time()), project_id),
        )
        return int(counted["last_sequence"])

    def _announce(self, project_id: str, cohort_id: str) -> None:
        for row in self._db.rows(
            "SELECT id FROM devices WHERE project_id = ? AND cohort_id = ?", project_id, cohort_id
        ):
            self._changes.publish(Topic.MANIFEST, row["id"])

    def _record(self, row: Row) -> Deployment:
        listed = self._db.rows(
            "SELECT artifact_id FROM deployment_artifacts WHERE deployment_id = ?"
            " ORDER BY position",
            row["id"],
        )
        return Deployment(
            deployment_id=row["id"],
            name=row["name"],
            artifact_ids=[entry["artifact_id"] for entry in listed],
            created_at=row["created_at"],
        )


def _refuse_ambiguous(artifacts: list[Artifact]) -> None:
    seen: set[str] = set()
    for artifact in artifacts:
        if artifact.package in seen:
            raise InvalidArgument(
                f"artifactIds: package {artifact.package!r} is listed twice;"
                " a device can hold one version"
            )
        seen.add(artifact.package)


def _manifest(sequence: int, artifacts: list[Artifact]) -> Manifest:
    components = tuple(
        Component(
            package=artifact.package,
            version=artifact.version,
            sha256=artifact.sha256,
            size=int(artifact.size),
            uri=f"/.u/c/{artifact.package}@{artifact.version}",
            type=artifact.type,
        )
        for artifact in artifacts
    )
    manifest = Manifest(sequence, components)
    # Golioth: once the SUIT manifest's hash; there is none for deployments, but the field remains.
    digest = hashlib.sha256(encode_manifest(manifest, ContentFormat.CBOR)).hexdigest()
    return replace(manifest, hash=digest)
