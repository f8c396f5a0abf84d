"""Artifacts: versions of packages, with their bytes."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import lru_cache

from localcloud.errors import AlreadyExists, FailedPrecondition
from localcloud.identifiers import (
    check_object_id,
    check_package,
    check_version,
    object_id,
    timestamp,
)
from localcloud.model import Artifact
from localcloud.storage.artifact_files import ArtifactContent, ArtifactFiles
from localcloud.storage.database import Conditions, Database, Paging, Row, unique, values_marks
from localcloud.storage.packages import Packages

# The first word of an MCUboot image header, little-endian.
_MCUBOOT_MAGIC = bytes.fromhex("3db8f396")
_MAPPED = 32  # artifacts kept open at a time


@dataclass(frozen=True)
class ArtifactFilter:
    """Narrows a list of artifacts; None means any."""

    package: str | None = None
    version: str | None = None
    ids: tuple[str, ...] | None = None
    blueprint_id: str | None = None


class Artifacts:
    """Versions of packages."""

    def __init__(self, database: Database, packages: Packages, files: ArtifactFiles) -> None:
        self._db = database
        self._packages = packages
        self._files = files
        # What never changes need not be looked up for every block of a download.
        self._contents = lru_cache(_MAPPED)(self._find_content)

    def create(
        self, project_id: str, package: str, version: str, content: bytes, blueprint_id: str = ""
    ) -> Artifact:
        """Store a new artifact; its package is made on demand. Raises AlreadyExists.

        Golioth: deployments take no notice of the blueprint.
        """
        check_package(package)
        check_version(version)
        artifact_id, now = object_id(), timestamp()
        sha256 = self._files.write(content)
        kind = "mcuboot" if content.startswith(_MCUBOOT_MAGIC) else "default"
        try:
            with unique(f"artifact already exists: {package}@{version}"), self._db.atomic():
                self._packages.ensure(project_id, package)
                self._db.execute(
                    "INSERT INTO artifacts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    *(artifact_id, project_id, package, version, sha256, len(content), kind),
                    *(now, now, blueprint_id or None),
                )
        except AlreadyExists:
            self._collect(sha256)
            raise
        self._contents.cache_clear()
        return self.get(project_id, artifact_id)

    def get(self, project_id: str, artifact_id: str) -> Artifact:
        """One artifact, or NotFound."""
        row = self._db.one(
            f"artifact not found: {artifact_id}",
            "SELECT * FROM artifacts WHERE project_id = ? AND id = ?",
            *(project_id, check_object_id(artifact_id)),
        )
        return _artifact(row)

    def page(
        self, project_id: str, wanted: ArtifactFilter, paging: Paging
    ) -> tuple[list[Artifact], int]:
        """One page of artifacts in the order they were made."""
        conditions = Conditions(project_id=project_id)
        conditions.add_given("package = ?", wanted.package)
        conditions.add_given("version = ?", wanted.version)
        conditions.add_given("blueprint_id = ?", wanted.blueprint_id)
        if wanted.ids is not None:
            conditions.add(f"id IN ({values_marks(wanted.ids)})", *wanted.ids)
        rows, total = self._db.page("artifacts", conditions, "rowid", paging)
        return [_artifact(row) for row in rows], total

    def delete(self, project_id: str, artifact_id: str) -> None:
        """Remove an artifact no deployment lists."""
        artifact = self.get(project_id, artifact_id)
        try:
            self._db.execute("DELETE FROM artifacts WHERE id = ?", artifact_id)
        except sqlite3.IntegrityError as error:
            raise FailedPrecondition(f"artifact in use: {artifact_id}") from error
        self._contents.cache_clear()
        self._collect(artifact.sha256)

    def content(self, project_id: str, package: str, version: str) -> ArtifactContent | None:
        """A component's bytes, or None when there is no such artifact."""
        return self._contents(project_id, package, version)

    def _find_content(self, project_id: str, package: str, version: str) -> ArtifactContent | None:
        row = self._db.row(
            "SELECT sha256 FROM artifacts WHERE project_id = ? AND package = ? AND version = ?",
            *(project_id, package, version),
        )
        return ArtifactContent(self._files.path(row["sha256"])) if row else None

    def collect_orphans(self) -> None:
        """Remove bytes that a killed cloud left without a record."""
        for name in self._files.names():
            self._collect(name)

    def _collect(self, sha256: str) -> None:
        if self._db.row("SELECT 1 FROM artifacts WHERE sha256 = ?", sha256) is None:
            self._files.remove(sha256)


def _artifact(row: Row) -> Artifact:
    return Artifact(
        id=row["id"],
        package=row["package"],
        version=row["version"],
        size=str(row["size"]),
        blueprint_id=row["blueprint_id"],
        binary_info={
            "type": row["type"],
            "size": row["size"],
            "digests": {"sha256": {"digest": row["sha256"]}},
        },
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
