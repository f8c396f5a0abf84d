"""Cohorts: devices that get the same deployments."""

from __future__ import annotations

from localcloud.identifiers import slug, timestamp
from localcloud.model import Cohort
from localcloud.storage.database import Conditions, Database, Paging, Row, unique


class Cohorts:
    """Cohorts of a project; the id is a slug of the first name."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(self, project_id: str, name: str) -> Cohort:
        """A new cohort, or AlreadyExists."""
        cohort_id, now = slug(name), timestamp()
        with unique(f"cohort already exists: {cohort_id}"):
            self._db.execute(
                "INSERT INTO cohorts VALUES (?, ?, ?, ?, ?)", project_id, cohort_id, name, now, now
            )
        return self.get(project_id, cohort_id)

    def get(self, project_id: str, cohort_id: str) -> Cohort:
        """One cohort, or NotFound."""
        row = self._db.one(
            f"cohort not found: {cohort_id}",
            "SELECT * FROM cohorts WHERE project_id = ? AND id = ?",
            *(project_id, cohort_id),
        )
        return self._record(row)

    def page(self, project_id: str, paging: Paging) -> tuple[list[Cohort], int]:
        """The project's cohorts in the order they were made."""
        rows, total = self._db.page("cohorts", Conditions(project_id=project_id), "rowid", paging)
        return [self._record(row) for row in rows], total

    def rename(self, project_id: str, cohort_id: str, name: str) -> Cohort:
        """Change the name; the id stays."""
        self.get(project_id, cohort_id)
        self._db.execute(
            "UPDATE cohorts SET name = ?, updated_at = ? WHERE project_id = ? AND id = ?",
            *(name, timestamp(), project_id, cohort_id),
        )
        return self.get(project_id, cohort_id)

    def delete(self, project_id: str, cohort_id: str) -> None:
        """Remove the cohort and its deployments; its devices are in no cohort then."""
        self.get(project_id, cohort_id)
        with self._db.atomic():
            self._db.execute(
                "UPDATE devices SET cohort_id = NULL WHERE project_id = ? AND cohort_id = ?",
                *(project_id, cohort_id),
            )
            self._db.execute(
                "DELETE FROM cohorts WHERE project_id = ? AND id = ?", project_id, cohort_id
            )

    def _record(self, row: Row) -> Cohort:
        scope = (row["project_id"], row["id"])
        devices = self._db.rows(
            "SELECT count(*) AS n FROM devices WHERE project_id = ? AND cohort_id = ?", *scope
        )
        return Cohort(
            cohort_id=row["id"],
            name=row["name"],
            device_count=devices[0]["n"],
            active_deployment_id=active_deployment(self._db, *scope),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )


def active_deployment(database: Database, project_id: str, cohort_id: str) -> str | None:
    """Id of a cohort's newest deployment, None when there is none."""
    row = database.row(
        "SELECT id FROM deployments WHERE project_id = ? AND cohort_id = ?"
        " ORDER BY sequence DESC LIMIT 1",
        *(project_id, cohort_id),
    )
    return row["id"] if row else None
