"""Changes to a JSON or CBOR document value by value, which bytes changed at random seldom are."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import cbor2

Place = tuple[Any, Any]
"""A container and the key or index of a value in it."""

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 255, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63)),
    *(0.0, -0.5, 1e-300, 1e300, float("nan"), float("inf"), 10**400),
    *("", "0", "x" * 300, "\0", "\ud800", "é", "e\u0301", "\u202e", "a\nb", "../../etc/passwd"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1e999", "-1", "ſ"),
    *([], {}, [[]], {"": None}, [None] * 70, {"\ud800": "\udfff"}),
)
_DEEP = (20, 33, 60, 300, 900)
_MOST_VALUES = 2000


def changed(document: bytes, most: int, seed: int) -> bytes | None:
    """The document with one to three of its values changed; None for what is no document."""
    chance = random.Random(seed)
    read, write = _json_form() if _is_json(document) else _cbor_form()
    try:
        root = [read(document)]
        for _ in range(chance.choice((1, 1, 2, 3))):
            _change(root, chance)
        encoded = write(root[0])
    except Exception:  # noqa: BLE001 - whatever it is, it is not for this kind of change
        return None
    return encoded if len(encoded) <= most else None


def _is_json(document: bytes) -> bool:
    return document.lstrip()[:1] in (b"{", b"[", b'"')


def _json_form() -> tuple[Callable[[bytes], Any], Callable[[Any], bytes]]:
    return json.loads, lambda value: json.dumps(value).encode()


def _cbor_form() -> tuple[Callable[[bytes], Any], Callable[[Any], bytes]]:
    return cbor2.loads, cbor2.dumps


def _change(root: list[Any], chance: random.Random) -> None:
    places = _places(root)
    container, key = chance.choice(places)
    value = container[key]
    match chance.randrange(8):
        case 0:
            container[key] = _deep(value, chance.choice(_DEEP))
        case 1 if isinstance(container, dict):
            del container[key]
        case 2 if isinstance(container, dict):
            container[chance.choice(("", "\ud800", "x" * 300, 7, str(key).upper()))] = value
        case 3 if isinstance(container, list) and container is not root:
            container.extend(deepcopy(value) for _ in range(chance.choice((1, 3, 70))))
        case 4 if isinstance(value, int | float) and not isinstance(value, bool):
            container[key] = chance.choice(
                (-value, value + 1, value * 2**40, float(value), str(value))
            )
        case 5 if isinstance(value, str) and value:
            container[key] = _text(value, chance)
        case 6:
            other, where = chance.choice(places)
            container[key] = deepcopy(other[where])
        case _:
            container[key] = deepcopy(chance.choice(ODD))


def _places(root: list[Any]) -> list[Place]:
    found: list[Place] = []
    left: list[Any] = [root]
    while left:
        container = left.pop()
        keys = container if isinstance(container, dict) else range(len(container))
        for key in keys:
            found.append((container, key))
            if len(found) > _MOST_VALUES:
                raise ValueError("a document too large to be changed so")
            if isinstance(container[key], dict | list):
                left.append(container[key])
    return found


def _deep(value: Any, levels: int) -> Any:
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def _text(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text))
    new = chance.choice(("", "\0", "\ud800", "0", "9", "-", ".", "{", "é", text))
    return text[:at] + new + text[at + chance.randrange(2) :]
