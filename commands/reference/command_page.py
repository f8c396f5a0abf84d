"""``docs/reference/commands.md``: every command with its options, from the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from commands.main import app
from commands.reference.markdown import MADE, literal, table

_INTRODUCTION = """\
`edgeferry COMMAND --help` says the same at the terminal. Where `--json` is, scripts read that; more
keys may be added to it. The exit status is 0 for done, 1 for failed, 2 for wrong usage or
configuration. `edgeferry --version` tells which version is installed.
"""


def command_page() -> str:
    """The Markdown page of the commands as they are."""
    parts = ["# Commands", "", MADE, "", _INTRODUCTION]
    for name, command in sorted(walk(typer.main.get_command(app), "edgeferry")):
        parts += _section(name, command)
    return "\n".join(parts).rstrip() + "\n"


def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command below that can be run, with its full name; groups only if they do something."""
    below = getattr(command, "commands", {})
    if not below or getattr(command, "invoke_without_command", False):
        yield name, command
    for word, each in below.items():
        yield from walk(each, f"{name} {word}")


def _section(name: str, command: Any) -> Iterator[str]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    words = [_argument(each) for each in arguments]
    yield from (f"## {name}", "", literal(" ".join([name, "[OPTIONS]", *words])), "")
    yield from (inspect.cleandoc(command.help or "").replace("\f", ""), "")
    rows = [(literal(_argument(each)), _help(each), _default(each)) for each in arguments]
    rows += [(_names(each), _help(each), _default(each)) for each in options if not each.hidden]
    if rows:
        yield from table(("option", "meaning", "default"), rows)
        yield ""


def _argument(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name).strip("{}[]").upper()
    dots = "..." if parameter.nargs == -1 else ""
    return f"{name}{dots}" if parameter.required else f"[{name}]{dots}"


def _names(parameter: Any) -> str:
    names = [*parameter.opts, *parameter.secondary_opts]
    return ", ".join(map(literal, sorted(names, key=len, reverse=True)))


def _help(parameter: Any) -> str:
    text = " ".join((getattr(parameter, "help", None) or "").split())
    variables = parameter.envvar or ()
    variables = [variables] if isinstance(variables, str) else variables
    named = "; ".join(f"environment: `{each}`" for each in variables)
    return f"{text} {named}".strip()


def _default(parameter: Any) -> str:
    if parameter.required:
        return "must be given"
    value = parameter.default
    if value is None or value is False or value in ((), []) or callable(value):
        return ""
    if isinstance(value, Path) and value.is_relative_to(Path.home()):
        return literal(f"~/{value.relative_to(Path.home())}")
    return literal(str(value.value if isinstance(value, Enum) else value))
