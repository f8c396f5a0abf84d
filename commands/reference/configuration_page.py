"""``docs/reference/configuration.md``: every key of the two configuration files."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from agent.commands.example_config import is_section, toml_value
from agent.config import Settings
from commands.reference.markdown import MADE, literal, table
from provisioning.operator_settings import OperatorSettings

_AGENT = """\
One TOML file: `--config FILE`, else `EDGEFERRY_CONFIG`, else `/etc/edgeferry/agent.toml`. Every key
may come from the environment as `EDGEFERRY_<SECTION>__<KEY>`, which wins over the file. An unknown
key is an error that names the nearest right one. `edgeferry example-config` prints the whole file
with the same words; `edgeferry diag` packs what is in force, without secrets.
"""
_OPERATOR = """\
One TOML file: `--operator FILE`, else `EDGEFERRY_OPERATOR`, else
`~/.config/edgeferry/operator.toml`. Relative paths start at the file's folder. How it is used:
[provisioning.md](../provisioning.md).
"""
_NAMES: dict[object, str] = {
    bool: "true or false",
    int: "integer",
    float: "number",
    str: "text",
    SecretStr: "text, never shown",
}


def configuration_page() -> str:
    """The Markdown page of the settings as they are."""
    parts = ["# Configuration", "", MADE, "", "## The device: agent.toml", "", _AGENT]
    for name, field in Settings.model_fields.items():
        parts += _section(name, _model(field))
    parts += ["## The operator: operator.toml", "", _OPERATOR, *_keys(OperatorSettings)]
    return "\n".join(parts) + "\n"


def _section(name: str, model: type[BaseModel]) -> Iterator[str]:
    yield from (f"### [{name}]", "", _first_line(model), "", *_keys(model), "")
    for key, field in model.model_fields.items():
        if is_section(field):
            yield from _section(f"{name}.{key}", _model(field))


def _keys(model: type[BaseModel]) -> Iterator[str]:
    fields = [(key, field) for key, field in model.model_fields.items() if not is_section(field)]
    rows = (
        (literal(key), _type(field), literal(_default(field)), field.description or "")
        for key, field in fields
    )
    return table(("key", "type", "default", "what for, and why so"), rows)


def _model(field: FieldInfo) -> type[BaseModel]:
    model = field.annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return model


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, PurePath) and value.is_relative_to(Path.home()):
        return toml_value(f"~/{value.relative_to(Path.home())}")
    return toml_value(value)


def _type(field: FieldInfo) -> str:
    bounds = [text for each in field.metadata for text in _bound(each)]
    return ", ".join([_type_name(field.annotation), *bounds])


def _bound(limit: object) -> Iterator[str]:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    for name, sign in signs.items():
        if (value := getattr(limit, name, None)) is not None:
            yield f"{sign} {value:g}"


def _type_name(kind: Any) -> str:
    if kind in _NAMES:
        return _NAMES[kind]
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return "path"
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(toml_value(each) for each in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(each) for each in arguments if each is not types.NoneType)
    if origin is tuple and len(set(arguments) - {...}) == 1:
        return f"list of {_type_name(arguments[0])}"
    if origin is tuple:
        return f"[{', '.join(map(_type_name, arguments))}]"
    if origin is dict:
        return f"table of {_type_name(arguments[1])}"
    if hasattr(kind, "__value__"):  # a "type X = ..." alias
        return _type_name(kind.__value__)
    if hasattr(kind, "__metadata__"):
        return _type_name(arguments[0])
    raise TypeError(f"the page has no words for the type {kind!r}")
