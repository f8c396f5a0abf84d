from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from agent.commands.example_config import example_config
from agent.config import Settings, load_settings


def test_as_it_stands_it_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(example_config())
    assert load_settings(tmp_path / "agent.toml") == Settings()


def test_every_default_it_shows_is_the_real_one() -> None:
    lines = example_config().splitlines()
    # "#key =" without a value is a key that is not set.
    shown = [line[1:] if line[:1] == "#" and line[1:2].isalpha() else line for line in lines]
    table = tomllib.loads("\n".join(line for line in shown if not line.endswith("=")))
    assert Settings(**table) == Settings()
    assert set(table) == set(Settings.model_fields)


def keys_of(model: type[BaseModel]) -> Iterator[str]:
    for key, setting in model.model_fields.items():
        nested = setting.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            yield from keys_of(nested)
        else:
            yield key


def test_every_key_is_shown_and_explained() -> None:
    lines = example_config().splitlines()
    for key in keys_of(Settings):
        at = next(i for i, line in enumerate(lines) if line.startswith(f"#{key} ="))
        assert lines[at - 1].startswith("# "), key


def test_no_line_is_too_long_to_read() -> None:
    assert max(map(len, example_config().splitlines())) <= 110
