"""Inputs for values of the four types a setting may have."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from localcloud.errors import InvalidArgument

_SWITCH = {"true": True, "false": False}


class ValueInput:
    """An input for a value of a type."""

    def __init__(self, data_type: str, value: Any) -> None:
        self._type = data_type
        self._input: ui.switch | ui.input
        if data_type == "boolean":
            self._input = ui.switch(value=bool(value))
        else:
            self._input = ui.input(value=str(value)).props(
                f'dense outlined aria-label="{data_type}"'
            )

    def value(self) -> object:
        """What is in it, in its type; raises InvalidArgument for what is no value of that."""
        return self.parse(self._type, self._input.value)

    @staticmethod
    def parse(data_type: str, entered: str | bool) -> object:
        """What was entered, as a value of a type; raises InvalidArgument."""
        try:
            match data_type:
                case "integer":
                    return int(entered)
                case "float":
                    return float(entered)
                case "boolean" if isinstance(entered, str):
                    return _SWITCH[entered.strip().lower()]
        except (ValueError, KeyError) as error:
            raise InvalidArgument(f"{entered!r} is no {data_type}") from error
        return entered
