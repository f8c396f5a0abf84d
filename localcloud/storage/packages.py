"""Packages; their versions are in :mod:`localcloud.storage.artifacts`."""

from __future__ import annotations

import json

from localcloud.identifiers import check_package, timestamp
from localcloud.model import Package
from localcloud.storage.database import Conditions, Database, Paging, Row, unique


class Packages:
    """Packages of a project; the id is the name the operator chose."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(
        self, project_id: str, package_id: str, description: str, metadata: dict[str, str]
    ) -> Package:
        """A new package, or AlreadyExists."""
        now = timestamp()
        with unique(f"package already exists: {package_id}"):
            self._db.execute(
                "INSERT INTO packages VALUES (?, ?, ?, ?, ?, ?)",
                *(project_id, check_package(package_id), description, json.dumps(metadata)),
                *(now, now),
            )
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
        row = self._db.one(
            f"package not found: {package_id}",
            "SELECT * FROM packages WHERE project_id = ? AND id = ?",
            *(project_id, package_id),
        )
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


def _package(row: Row) -> Package:
    return Package(
        package_id=row["id"],
        description=row["description"],
        metadata=json.loads(row["metadata"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
