"""A device's log lines."""

from __future__ import annotations

import json
from collections.abc import Sequence

from nicegui import ui

from localcloud.console.frame import ago, card, empty, pill, text
from localcloud.console.history import device_logs
from localcloud.console.live import Live
from localcloud.console.visit import Visit
from localcloud.model import LogEntry

_LEVELS = ["ERROR", "WARN", "INFO", "DEBUG"]
_TONES = {"ERROR": "bad", "WARN": "busy", "INFO": "good"}


def logs_card(visit: Visit, live: Live, device_id: str) -> None:
    """The newest lines, with a choice of level and a search."""
    with card("Logs", "the newest hundred lines"):
        with ui.element("div").classes("ef-filters ef-two"):
            term = ui.input(placeholder="Find in the messages").props(
                'dense outlined clearable debounce="250"'
            )
            level = ui.select(_LEVELS, label="Level", clearable=True).props("dense outlined")
        look = live.section(
            lambda: device_logs(visit, device_id, level.value, term.value or ""), _lines
        )
        term.on_value_change(lambda _: look())
        level.on_value_change(lambda _: look())


def _lines(lines: Sequence[LogEntry]) -> None:
    if not lines:
        empty("notes", "No line", "Devices send warnings and errors; log.cloud_level sends more.")
        return
    with ui.element("ol").classes("ef-events ef-logs"):
        for line in lines:
            with ui.element("li"):
                pill(line.level.lower(), _TONES.get(line.level, "calm"))
                text(line.module, "ef-version")
                text(line.message, "ef-message")
                if line.metadata:
                    text(json.dumps(line.metadata), "soft ef-message")
                ago(line.timestamp)
