"""The pages of ``docs/reference`` that are made from the code (`make reference`)."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from commands.reference.command_page import command_page
from commands.reference.configuration_page import configuration_page
from commands.reference.error_page import error_page
from commands.reference.licence_page import licence_page

PAGES: MappingProxyType[str, Callable[[], str]] = MappingProxyType(
    {
        "commands.md": command_page,
        "configuration.md": configuration_page,
        "error-codes.md": error_page,
        "licences.md": licence_page,
    }
)
"""What makes the text of each file."""
