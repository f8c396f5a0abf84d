"""What a request brings along, and what may be done with it.

Each reader raises ControlError (``bad-request``) for a value of another kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from agent.control.errors import ControlError

Parameters = dict[str, Any]
Method = Callable[[Parameters], Awaitable[dict[str, Any]]]


def optional_text(parameters: Parameters, name: str) -> str | None:
    """A text; None where there is none, or an empty one."""
    value = parameters.get(name)
    if value is not None and not isinstance(value, str):
        raise ControlError("bad-request", f"params.{name} is no text")
    return value or None


def required_text(parameters: Parameters, name: str) -> str:
    """A text that must be there."""
    value = optional_text(parameters, name)
    if value is None:
        raise ControlError("bad-request", f"params.{name} is missing")
    return value


def whole_number(parameters: Parameters, name: str, default: int) -> int:
    """A whole number."""
    value = parameters.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ControlError("bad-request", f"params.{name} is no whole number")
    return value


def flag(parameters: Parameters, name: str) -> bool:
    """True or false; false when not given."""
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise ControlError("bad-request", f"params.{name} is neither true nor false")
    return value
