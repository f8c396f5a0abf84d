"""Holds what commands print with ``--json`` to the tables of ``docs/reference/json-outputs.md``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "json-outputs.md"

_HEADING = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)
_ROW = re.compile(r"^\| (?:`([^`]+)`)? *\| ([^|]+?) \|", re.MULTILINE)
_SHARED = re.compile(r"\[([\w ]+)\]\(#[\w-]+\)")


def _is_time(value: Any) -> bool:
    """RFC 3339 with its T: Python alone would be content without."""
    return (
        isinstance(value, str) and "T" in value and datetime.fromisoformat(value).tzinfo is not None
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_SCALARS: dict[str, Callable[[Any], bool]] = {
    "any": lambda _: True,
    "text": lambda value: isinstance(value, str),
    "time": _is_time,
    "integer": lambda value: _is_number(value) and not isinstance(value, float),
    "number": _is_number,
    "true or false": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
}


class DocumentedOtherwise(AssertionError):  # noqa: N818 - reads as what happened
    """An output is not what the page says."""


@dataclass
class Form:
    """What a value may be. ``parts`` are an object's fields; "*" is any, "[]" a list's elements."""

    kind: str | None = None
    may_be_null: bool = False
    may_be_missing: bool = False
    parts: dict[str, Form] = field(default_factory=dict)

    def check(self, value: Any, where: str) -> None:
        """Raises DocumentedOtherwise."""
        if value is None and (self.may_be_null or self.kind == "any"):
            return
        if self.kind is not None and not _SCALARS[self.kind](value):
            raise DocumentedOtherwise(f"{where} is {value!r}, the page says {self.kind}")
        if self.kind == "any" or not self.parts:
            return
        if not isinstance(value, list if "[]" in self.parts else dict):
            raise DocumentedOtherwise(f"{where} is {value!r}, the page says it has parts")
        if isinstance(value, list):
            for index, element in enumerate(value):
                self.parts["[]"].check(element, f"{where}[{index}]")
        else:
            self._check_fields(value, where)

    def _check_fields(self, value: dict[str, Any], where: str) -> None:
        must = {n for n, part in self.parts.items() if n != "*" and not part.may_be_missing}
        if missing := must - set(value):
            raise DocumentedOtherwise(f"{where} has no {sorted(missing)}")
        for name, inner in value.items():
            part = self.parts.get(name) or self.parts.get("*")
            if part is None:
                raise DocumentedOtherwise(f"the page does not know {where}.{name}")
            part.check(inner, f"{where}.{name}")


def documented() -> set[str]:
    """The commands the page has a table for."""
    return {heading for heading in _sections() if heading.startswith("edgeferry ")}


def check_output(words: Sequence[str], document: Any) -> None:
    """``words`` are those of the command line after ``edgeferry``. Raises DocumentedOtherwise."""
    typed = f"edgeferry {' '.join(words)} "
    known = [heading for heading in documented() if _is_of(heading, typed)]
    if not known:
        raise DocumentedOtherwise(f"the page has no table for: {typed}")
    heading = max(known, key=len)
    form(heading).check(document, heading)


def read_output(words: Sequence[str], printed: str) -> Any:
    """The JSON that a command printed, which is as documented. Raises DocumentedOtherwise."""
    document = json.loads(printed)
    check_output(words, document)
    return document


def _is_of(heading: str, typed: str) -> bool:
    command, _, option = heading.partition(" --")
    return typed.startswith(f"{command} ") and (not option or f" --{option} " in typed)


@cache
def form(heading: str) -> Form:
    """What the table below a heading says."""
    root = Form()
    _put_rows(root, heading)
    return root


@cache
def _sections() -> dict[str, list[tuple[str, str]]]:
    parts = _HEADING.split(PAGE.read_text())
    return {
        heading: [(path, kind) for path, kind in _ROW.findall(text) if kind not in {"type", "---"}]
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def _put_rows(root: Form, heading: str) -> None:
    for path, kind in _sections()[heading]:
        target = root
        for name in _names(path):
            target = target.parts.setdefault(name, Form())
        before = set(root.parts)
        _fill(target, kind)
        if target is not root:
            target.may_be_null = "also null" in kind
            target.may_be_missing = "may be missing" in kind
        elif "may be missing" in kind:  # said of every field that is included, not of the whole
            for name in set(root.parts) - before:
                root.parts[name].may_be_missing = True


def _names(path: str) -> Iterator[str]:
    for name in path.replace("[]", ".[]").split("."):
        if name:
            yield name


def _fill(target: Form, kind: str) -> None:
    first = kind.split(",")[0]
    if shared := _SHARED.match(first):
        _put_rows(target, shared[1])
    else:
        target.kind = first
