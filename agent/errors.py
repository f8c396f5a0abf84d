"""Errors of the agent that belong to no part of it alone."""

from __future__ import annotations

from typing import ClassVar


class ConfigurationError(Exception):
    """The configuration can't be used; names the key or file and the next step."""

    exit_status: ClassVar[int] = 2
