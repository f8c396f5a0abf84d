"""Parts that several pages show."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from localcloud.console.frame import ago, empty, pill, text
from localcloud.console.history import Happened


def event_list(events: Sequence[Happened], *, with_device: bool = True) -> None:
    """Events under each other, newest first."""
    if not events:
        empty("history", "Nothing yet", "Devices report here once their cohort has a deployment.")
        return
    with ui.element("ol").classes("ef-events"):
        for event in events:
            with ui.element("li").classes(event.tone):
                if with_device:
                    with ui.link(target=f"/devices/{event.device_id}"):
                        text(event.device, tag="b")
                pill(event.what, event.tone)
                for package in event.packages:
                    text(package, "ef-version")
                ago(event.at)
