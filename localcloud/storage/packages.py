"""Packages, and artifacts with their bytes."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
from dataclasses import dataclass
from functools import lru_cache
from mmap import ACCESS_READ, mmap
from pathlib import Path

from localcloud.errors import AlreadyExists, FailedPrecondition, NotFound
from localcloud.identifiers import (
    check_object_id,
    check_package,
    check_version,
    object_id,
    timestamp,
)
from localcloud.model import Artifact, Package
from localcloud.storage.database import Conditions, Database, Paging, Row, values_marks

# The first word of an MCUboot image header, little-endian.
_MCUBOOT_MAGIC = bytes.fromhex("3db8f396")
_MAPPED = 32  # artifacts kept open at a time


class Packages:
    """Packages of a project; the id is the name the operator chose."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(
        self, project_id: str, package_id: str, description: str, metadata: dict[str, str]
    ) -> Package:
        """A new package, or AlreadyExists."""
        now = timestamp()
        try:
            self._db.execute(
                "INSERT INTO packages VALUES (?, ?, ?, ?, ?, ?)",
                *(project_id, check_package(package_id), description, json.dumps(metadata)),
                *(now, now),
            )
        except sqlite3.IntegrityError as error:
            raise AlreadyExists(f"package already exists: {package_id}") from error
        return self.get(project_id, package_id)

    def ensure(self, project_id: str, package_id: str) -> None:
        """Make the package if there is none; uploading an artifact does so."""
        now = timestamp()
        self._db.execute(
            "INSERT OR IGNORE INTO packages VALUES (?, ?, '', '{}', ?, ?)",
            *(project_id, check_package(package_id), now, now),
        )

    def get(self, project_id: str, package_id: str) -> Package:
        """One package, or NotFound."""
        row = self._db.row(
            "SELECT * FROM packages WHERE project_id = ? AND id = ?", project_id, package_id
        )
        if row is None:
            raise NotFound(f"package not found: {package_id}")
        return _package(row)

    def page(self, project_id: str, paging: Paging) -> tuple[list[Package], int]:
        """The project's packages in the order they were made."""
        rows, total = self._db.page("packages", Conditions(project_id=project_id), "rowid", paging)
        return [_package(row) for row in rows], total

    def update(
        self,
        project_id: str,
        package_id: str,
        description: str | None,
        metadata: dict[str, str] | None,
    ) -> Package:
        """Change what is given."""
        before = self.get(project_id, package_id)
        self._db.execute(
            "UPDATE packages SET description = ?, metadata = ?, updated_at = ?"
            " WHERE project_id = ? AND id = ?",
            before.description if description is None else description,
            json.dumps(before.metadata if metadata is None else metadata),
            *(timestamp(), project_id, package_id),
        )
        return self.get(project_id, package_id)

    def delete(self, project_id: str, package_id: str) -> None:
        """Remove the package; its artifacts stay (Golioth: inferred from the client's tests)."""
        self.get(project_id, package_id)
        self._db.execute(
            "DELETE FROM packages WHERE project_id = ? AND id = ?", project_id, package_id
        )


class ArtifactFiles:
    """Bytes of artifacts, in files named by their SHA-256."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True, mode=0o700)
        self._folder = folder
        for leftover in folder.glob("*.tmp"):
            leftover.unlink()

    def path(self, sha256: str) -> Path:
        """Where the bytes are."""
        return self._folder / sha256

    def write(self, content: bytes) -> str:
        """Store bytes durably; returns their SHA-256 as lower-case hexadecimal digits."""
        sha256 = hashlib.sha256(content).hexdigest()
        target = self.path(sha256)
        if target.exists():
            return sha256
        temporary = self._folder / f"{secrets.token_hex(8)}.tmp"
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return sha256

    def remove(self, sha256: str) -> None:
        """Forget bytes nothing refers to any more."""
        self.path(sha256).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """SHA-256 of everything stored."""
        return [path.name for path in self._folder.iterdir()]


@dataclass(frozen=True)
class ArtifactFilter:
    """Narrows a list of artifacts; None means any."""

    package: str | None = None
    version: str | None = None
    ids: tuple[str, ...] | None = None
    blueprint_id: str | None = None


class ArtifactContent:
    """The bytes of an artifact, mapped into memory: read as they are asked for, kept once."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.size = os.fstat(file.fileno()).st_size
            # There is no such thing as a mapping of nothing.
            self._bytes = mmap(file.fileno(), 0, access=ACCESS_READ) if self.size else b""

    def read(self, start: int, length: int) -> bytes:
        """Bytes from ``start`` on, fewer than ``length`` at the end."""
        return self._bytes[start : start + length]


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
            with self._db.atomic():
                self._packages.ensure(project_id, package)
                self._db.execute(
                    "INSERT INTO artifacts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    *(artifact_id, project_id, package, version, sha256, len(content), kind),
                    *(now, now, blueprint_id or None),
                )
        except sqlite3.IntegrityError as error:
            self._collect(sha256)
            raise AlreadyExists(f"artifact already exists: {package}@{version}") from error
        self._contents.cache_clear()
        return self.get(project_id, artifact_id)

    def get(self, project_id: str, artifact_id: str) -> Artifact:
        """One artifact, or NotFound."""
        row = self._db.row(
            "SELECT * FROM artifacts WHERE project_id = ? AND id = ?",
            *(project_id, check_object_id(artifact_id)),
        )
        if row is None:
            raise NotFound(f"artifact not found: {artifact_id}")
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


def _package(row: Row) -> Package:
    return Package(
        package_id=row["id"],
        description=row["description"],
        metadata=json.loads(row["metadata"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


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
