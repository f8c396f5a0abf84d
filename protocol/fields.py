"""Checked access to the fields of a decoded map, with errors that name the place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import TypeVar

from protocol.errors import CodecError
from protocol.formats import is_encodable, shown

MAX_TEXT = 255
"""Characters of a name, a version and their like."""
MAX_INTEGER = 2**63 - 1
"""What a signed 64-bit integer holds: Unix nanoseconds, and SQLite's INTEGER."""

Key = int | str
Number = TypeVar("Number", bound=IntEnum)


class Fields:
    """A map of a decoded document.

    A field may have several names (its CBOR number, its long and its short JSON name); the first
    that is present and not null counts. Unknown keys are ignored. Every check raises CodecError.
    """

    def __init__(self, document: object, where: str) -> None:
        if not isinstance(document, Mapping):
            raise CodecError(f"{where}: must be a map, not {type(document).__name__}")
        self._map = document
        self._where = where

    def find(self, *names: Key) -> object | None:
        """The raw value, or None when it is missing or null."""
        return next((self._map[n] for n in names if self._map.get(n) is not None), None)

    def place(self, *names: Key) -> str:
        """How errors name this field."""
        text, *others = sorted(map(str, names), key=len, reverse=True)
        alias = f" (key {', '.join(others)})" if others else ""
        return f"{self._where}.{text}{alias}"

    def integer(self, *names: Key, maximum: int, default: int | None = None) -> int:
        """An integer in 0…maximum; a missing one is the default, or an error without a default."""
        value = self._require(default, *names)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
            raise CodecError(
                f"{self.place(*names)}: must be an integer from 0 to {maximum}, not {shown(value)}"
            )
        return value

    def member(self, kind: type[Number], *names: Key, default: int | None = None) -> Number:
        """An integer that is one of an enumeration starting at 0."""
        number = self.integer(*names, maximum=MAX_INTEGER, default=default)
        try:
            return kind(number)
        except ValueError as error:
            raise CodecError(
                f"{self.place(*names)}: must be a number from 0 to {max(kind)}, not {number}"
            ) from error

    def text(self, *names: Key, limit: int, default: str | None = None) -> str:
        """Text of 1…limit characters without control characters."""
        value = self._require(default, *names)
        if not isinstance(value, str):
            raise CodecError(f"{self.place(*names)}: must be text, not {type(value).__name__}")
        if not 1 <= len(value) <= limit:
            raise CodecError(
                f"{self.place(*names)}: must have 1 to {limit} characters, not {len(value)}"
            )
        if not is_encodable(value) or any(ord(c) < 0x20 or ord(c) == 0x7F for c in value):
            raise CodecError(f"{self.place(*names)}: must be printable text, not {shown(value)}")
        return value

    def optional_text(self, *names: Key, limit: int) -> str | None:
        """Like text(), but a missing field is None."""
        return None if self.find(*names) is None else self.text(*names, limit=limit)

    def array(
        self, *names: Key, most: int, default: Sequence[object] | None = None
    ) -> Sequence[object]:
        """At most ``most`` items; a missing one is the default, or an error without a default."""
        found = self._require(default, *names)
        if not isinstance(found, list | tuple):
            raise CodecError(f"{self.place(*names)}: must be an array, not {type(found).__name__}")
        if len(found) > most:
            raise CodecError(
                f"{self.place(*names)}: {len(found)} are more than the {most} accepted; send fewer"
            )
        return found

    def _require(self, default: object, *names: Key) -> object:
        value = self.find(*names)
        if value is None and default is None:
            raise CodecError(f"{self.place(*names)}: is missing")
        return default if value is None else value
