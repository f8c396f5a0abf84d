"""Organizations, projects and their API keys."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from localcloud.errors import PermissionDenied, Unauthenticated
from localcloud.identifiers import object_id, slug, timestamp
from localcloud.model import ApiKey, Organization, Project
from localcloud.storage.database import Conditions, Database, Paging, Row


class Projects:
    """Projects; their ids are slugs of their names."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def ensure(self, name: str, organization: str) -> Project:
        """The project of that name, made with its organization if there is none yet."""
        project_id, organization_id, now = slug(name), slug(organization), timestamp()
        if self._db.row("SELECT id FROM projects WHERE id = ?", project_id):
            return self.get(project_id)
        with self._db.atomic():
            self._db.execute(
                "INSERT OR IGNORE INTO organizations (id, name, created_at) VALUES (?, ?, ?)",
                *(organization_id, organization, now),
            )
            self._db.execute(
                "INSERT INTO projects (id, name, organization_id, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?)",
                *(project_id, name, organization_id, now, now),
            )
        return self.get(project_id)

    def get(self, project_id: str) -> Project:
        """One project, or NotFound."""
        row = self._db.one(
            f"project not found: {project_id}", "SELECT * FROM projects WHERE id = ?", project_id
        )
        return Project.model_validate(row)

    def rename(self, project_id: str, name: str) -> Project:
        """Change the name; the id stays."""
        self._db.execute(
            "UPDATE projects SET name = ?, updated_at = ? WHERE id = ?",
            *(name, timestamp(), project_id),
        )
        return self.get(project_id)

    def organization(self, organization_id: str) -> Organization:
        """One organization, or NotFound."""
        row = self._db.one(
            f"organization not found: {organization_id}",
            "SELECT * FROM organizations WHERE id = ?",
            organization_id,
        )
        return Organization.model_validate(row)


class ApiKeys:
    """API keys. Only their SHA-256 is stored: they are random enough to need no salt."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(self, project_id: str, name: str) -> ApiKey:
        """A new key; ``key`` is in the answer this one time."""
        secret = secrets.token_urlsafe(32)
        return self._add(project_id, name, secret).model_copy(update={"key": secret})

    def adopt(self, project_id: str, name: str, secret: str) -> None:
        """Make a known secret a key of the project, unless it is one already."""
        if self._find(secret) is None:
            self._add(project_id, name, secret)

    def project_of(self, secret: str) -> str:
        """Id of the project the key belongs to, or Unauthenticated."""
        row = self._find(secret)
        if row is None:
            raise Unauthenticated(
                "the API key is unknown; it is in the file the cloud names at start"
            )
        return str(row["project_id"])

    def page(self, project_id: str, paging: Paging) -> tuple[list[ApiKey], int]:
        """The project's keys, without their secrets."""
        rows, total = self._db.page(
            "api_keys", Conditions(project_id=project_id), "created_at", paging
        )
        return [ApiKey.model_validate(row) for row in rows], total

    def rename(self, project_id: str, key_id: str, name: str) -> ApiKey:
        """Change a key's name, or NotFound."""
        self._get(project_id, key_id)
        self._db.execute("UPDATE api_keys SET name = ? WHERE id = ?", name, key_id)
        return ApiKey.model_validate(self._get(project_id, key_id))

    def delete(self, project_id: str, key_id: str, in_use: str) -> None:
        """Remove a key; not the one the request itself came with (``in_use``)."""
        if hmac.compare_digest(self._get(project_id, key_id)["digest"], _digest(in_use)):
            raise PermissionDenied("a key can't delete itself; use another key of the project")
        self._db.execute("DELETE FROM api_keys WHERE id = ?", key_id)

    def _add(self, project_id: str, name: str, secret: str) -> ApiKey:
        key = ApiKey(id=object_id(), name=name, created_at=timestamp())
        self._db.insert(
            "api_keys",
            {
                "id": key.id,
                "project_id": project_id,
                "name": name,
                "digest": _digest(secret),
                "created_at": key.created_at,
            },
        )
        return key

    def _get(self, project_id: str, key_id: str) -> Row:
        return self._db.one(
            f"API key not found: {key_id}",
            "SELECT * FROM api_keys WHERE project_id = ? AND id = ?",
            *(project_id, key_id),
        )

    def _find(self, secret: str) -> Row | None:
        # Every stored digest is compared, each in constant time: the time taken tells nothing.
        digest = _digest(secret)
        found = None
        for row in self._db.rows("SELECT project_id, digest FROM api_keys"):
            if hmac.compare_digest(row["digest"], digest):
                found = row
        return found


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
