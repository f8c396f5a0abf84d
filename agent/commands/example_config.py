"""The configuration file with every key, its meaning and its default, all of it commented out.

Made from the settings themselves, so it can't say anything else than they do.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import PurePath

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.config import Settings

WIDTH = 100

_HEAD = """\
# Edgeferry's configuration, read by the agent and the worker. Every line that begins with "#"
# and a key shows that key's default: remove the "#" to change it. An unknown key is an error.
# The environment wins over this file: EDGEFERRY_<SECTION>__<KEY>.
"""


def example_config() -> str:
    """The text of ``agent.toml``; read as it stands it changes nothing."""
    sections = (_section(name, field) for name, field in Settings.model_fields.items())
    return "\n".join([_HEAD, *("\n".join(lines) + "\n" for lines in sections)])


def _section(name: str, field: FieldInfo) -> Iterator[str]:
    model = field.annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    yield from _comment((model.__doc__ or "").strip().splitlines()[0])
    yield f"[{name}]"
    # TOML has no way back from a nested section to the one around it.
    for key, setting in sorted(model.model_fields.items(), key=lambda item: is_section(item[1])):
        yield ""
        if is_section(setting):
            yield from _section(f"{name}.{key}", setting)
        else:
            yield from _comment(setting.description or "")
            yield _default(key, setting)


def is_section(setting: FieldInfo) -> bool:
    """Whether a field of the settings is a table of its own."""
    return isinstance(setting.annotation, type) and issubclass(setting.annotation, BaseModel)


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, WIDTH - 2):
        yield f"# {line}"


def _default(key: str, setting: FieldInfo) -> str:
    value = setting.get_default(call_default_factory=True)
    # TOML has no null: what is not set is not there.
    return f"#{key} =" if value is None else f"#{key} = {toml_value(value)}"


def toml_value(value: object) -> str:
    """A default as TOML writes it."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_value, value))}]"
    plain = str(value) if isinstance(value, PurePath) else value
    return json.dumps(plain, ensure_ascii=False)
