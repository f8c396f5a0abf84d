"""LightDB State: one JSON tree per device."""

from __future__ import annotations

import json
from collections.abc import Sequence

from localcloud.changes import Changes, Topic
from localcloud.errors import InvalidArgument
from localcloud.storage.database import Database
from protocol.errors import CodecError
from protocol.formats import MAX_DOCUMENT_BYTES, ContentFormat, PlainValue
from protocol.values import encode_value

Tree = dict[str, PlainValue]
Path = Sequence[str]


class DeviceState:
    """Reads and writes trees. A path is its segments; the empty path is the whole tree."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._db = database
        self._changes = changes

    def read(self, device_id: str, path: Path) -> PlainValue:
        """The value at a path; a missing one is None (Golioth: reads as null)."""
        node: PlainValue = self._load(device_id)
        for segment in path:
            if not isinstance(node, dict):
                return None
            node = node.get(segment)
        return node

    def write(self, device_id: str, path: Path, value: PlainValue) -> None:
        """Set a value, making parents; objects merge, so keys not mentioned stay (Golioth).

        Raises InvalidArgument for anything but an object at the root, and for trees that would
        be too large or too deep.
        """
        if not path and not isinstance(value, dict):
            raise InvalidArgument("the root of the device state must be an object; name a path")
        tree = self._load(device_id)
        for segment in reversed(path):
            value = {segment: value}
        self._store(device_id, tree, _merged(tree, value))

    def delete(self, device_id: str, path: Path) -> None:
        """Remove the node at a path; its parent stays, if only as an empty object."""
        tree = self._load(device_id)
        if not path:
            return self._store(device_id, tree, {})
        parent: PlainValue = (after := _copied(tree, path))
        for segment in path[:-1]:
            parent = parent.get(segment) if isinstance(parent, dict) else None
        if isinstance(parent, dict):
            parent.pop(path[-1], None)
        return self._store(device_id, tree, after)

    def _load(self, device_id: str) -> Tree:
        row = self._db.row("SELECT document FROM device_state WHERE device_id = ?", device_id)
        tree: Tree = json.loads(row["document"]) if row else {}
        return tree

    def _store(self, device_id: str, before: Tree, after: PlainValue) -> None:
        if after == before:
            return
        try:
            document = encode_value(after, ContentFormat.JSON)
        except CodecError as error:
            raise InvalidArgument(f"device state: {error}") from error
        if len(document) > MAX_DOCUMENT_BYTES:
            raise InvalidArgument(
                f"device state would grow to {len(document)} bytes;"
                f" {MAX_DOCUMENT_BYTES} are allowed"
            )
        self._db.execute(
            "INSERT INTO device_state VALUES (?, ?)"
            " ON CONFLICT (device_id) DO UPDATE SET document = excluded.document",
            *(device_id, document.decode()),
        )
        self._changes.publish(Topic.STATE, device_id)


def _merged(before: PlainValue, change: PlainValue) -> PlainValue:
    if not isinstance(before, dict) or not isinstance(change, dict):
        return change
    merged = dict(before)
    for key, value in change.items():
        merged[key] = _merged(before.get(key), value)
    return merged


def _copied(tree: Tree, path: Path) -> Tree:
    """The tree, with the objects along a path copied so that they can be changed."""
    copy = dict(tree)
    if path and isinstance(child := copy.get(path[0]), dict):
        copy[path[0]] = _copied(child, path[1:])
    return copy
