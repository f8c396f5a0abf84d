"""Tags and blueprints: what devices are grouped by for settings and lists (OpenAPI: both)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from localcloud.errors import InvalidArgument, NotFound
from localcloud.identifiers import check_object_id, object_id, timestamp
from localcloud.model import Blueprint, Tag
from localcloud.storage.database import Conditions, Database, Paging, unique, values_marks

# Golioth does not say which; its client looks for the beginning of this message.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}\Z")


class Tags:
    """Tags of a project; a device may have several."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(self, project_id: str, name: str) -> Tag:
        """A new tag, or AlreadyExists."""
        now = timestamp()
        row = {"id": object_id(), "project_id": project_id, "name": _check_name(name)}
        with unique(f"tag name already being used: {name}"):
            self._db.insert("tags", {**row, "created_at": now, "updated_at": now})
        return self.get(project_id, row["id"])

    def get(self, project_id: str, tag_id: str) -> Tag:
        """One tag, or NotFound."""
        row = self._db.one(
            f"tag not found: {tag_id}",
            "SELECT * FROM tags WHERE project_id = ? AND id = ?",
            *(project_id, check_object_id(tag_id)),
        )
        return Tag.model_validate(row)

    def page(self, project_id: str, paging: Paging) -> tuple[list[Tag], int]:
        """The project's tags in the order they were made."""
        rows, total = self._db.page("tags", Conditions(project_id=project_id), "rowid", paging)
        return [Tag.model_validate(row) for row in rows], total

    def rename(self, project_id: str, tag_id: str, name: str) -> Tag:
        """Change the name."""
        self.get(project_id, tag_id)
        with unique(f"tag name already being used: {name}"):
            self._db.execute(
                "UPDATE tags SET name = ?, updated_at = ? WHERE id = ?",
                *(_check_name(name), timestamp(), tag_id),
            )
        return self.get(project_id, tag_id)

    def delete(self, project_id: str, tag_id: str) -> None:
        """Remove the tag, also from its devices."""
        self.get(project_id, tag_id)
        self._db.execute("DELETE FROM tags WHERE id = ?", tag_id)

    def devices(self, project_id: str, tag_id: str) -> list[str]:
        """Ids of the devices that have the tag."""
        self.get(project_id, tag_id)
        rows = self._db.rows(
            "SELECT device_id FROM device_tags WHERE tag_id = ? ORDER BY device_id", tag_id
        )
        return [row["device_id"] for row in rows]


class Blueprints:
    """Blueprints of a project; a device has at most one."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(self, project_id: str, name: str, board_id: str, platform: str) -> Blueprint:
        """A new blueprint, or AlreadyExists."""
        now = timestamp()
        row = {"id": object_id(), "project_id": project_id, "name": _check_name(name)}
        more = {"board_id": board_id or None, "platform": platform or None}
        with unique(f"blueprint name already being used: {name}"):
            self._db.insert("blueprints", {**row, **more, "created_at": now, "updated_at": now})
        return self.get(project_id, row["id"])

    def get(self, project_id: str, blueprint_id: str) -> Blueprint:
        """One blueprint, or NotFound."""
        row = self._db.one(
            f"blueprint not found: {blueprint_id}",
            "SELECT * FROM blueprints WHERE project_id = ? AND id = ?",
            *(project_id, check_object_id(blueprint_id)),
        )
        return Blueprint.model_validate(row)

    def page(self, project_id: str, paging: Paging) -> tuple[list[Blueprint], int]:
        """The project's blueprints in the order they were made."""
        conditions = Conditions(project_id=project_id)
        rows, total = self._db.page("blueprints", conditions, "rowid", paging)
        return [Blueprint.model_validate(row) for row in rows], total

    def change(
        self, project_id: str, blueprint_id: str, name: str, board_id: str, platform: str
    ) -> Blueprint:
        """Change what is given; "" leaves a field alone."""
        before = self.get(project_id, blueprint_id)
        with unique(f"blueprint name already being used: {name}"):
            self._db.execute(
                "UPDATE blueprints SET name = ?, board_id = ?, platform = ?, updated_at = ?"
                " WHERE id = ?",
                _check_name(name or before.name),
                *(board_id or before.board_id, platform or before.platform),
                *(timestamp(), blueprint_id),
            )
        return self.get(project_id, blueprint_id)

    def delete(self, project_id: str, blueprint_id: str) -> None:
        """Remove a blueprint that no device has, with its settings."""
        self.get(project_id, blueprint_id)
        used = self._db.row("SELECT 1 FROM devices WHERE blueprint_id = ?", blueprint_id)
        if used:
            raise InvalidArgument(f"blueprint in use by devices: {blueprint_id}")
        self._db.execute("DELETE FROM blueprints WHERE id = ?", blueprint_id)


def check_tags(database: Database, project_id: str, tag_ids: Sequence[str]) -> list[str]:
    """The tags without repetitions, or NotFound for one that is none of the project's."""
    wanted = list(dict.fromkeys(check_object_id(tag_id) for tag_id in tag_ids))
    known = database.rows(
        f"SELECT id FROM tags WHERE project_id = ? AND id IN ({values_marks(wanted)})",  # noqa: S608
        *(project_id, *wanted),
    )
    for missing in set(wanted) - {row["id"] for row in known}:
        raise NotFound(f"tag not found: {missing}")
    return wanted


def _check_name(name: str) -> str:
    if not _NAME.match(name):
        raise InvalidArgument(
            f"name {name!r}: can use only use characters A-Z, a-z, 0-9, space, '.', '_' and '-',"
            " and must begin with a letter or digit"
        )
    return name
