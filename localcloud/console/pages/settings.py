"""Settings of the whole project."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui
from starlette.requests import Request

from localcloud.console.actions import acting, asking
from localcloud.console.frame import card, empty, frame, text
from localcloud.console.live import Live
from localcloud.console.pages.setting_values import ValueInput
from localcloud.console.visit import Visit
from localcloud.model import Setting
from localcloud.storage.settings import DATA_TYPES


@ui.page("/settings")
def settings_page(request: Request) -> None:
    """The settings."""
    visit: Visit = request.state.visit
    live = Live(visit)

    def draw(settings: Sequence[Setting]) -> None:
        if not settings:
            empty(
                "tune",
                "No setting yet",
                "A setting reaches every device of the project at once; on a device's page it may"
                " have another value.",
            )
        for setting in settings:
            _row(visit, setting)

    with frame(visit, "/settings", "Settings"):
        with card("Settings of the project", "every device is told at once"):
            live.section(lambda: visit.store.settings.of(visit.project_id), draw, "ef-settings")
        _new(visit)


def _row(visit: Visit, setting: Setting) -> None:
    store, project = visit.store, visit.project_id

    def keep() -> None:
        store.settings.change(project, setting.id, entered.value())

    def delete() -> None:
        store.settings.delete(project, setting.id)

    with ui.element("div").classes("ef-setting"):
        with ui.element("div"):
            text(setting.key, "ef-key")
            text(setting.data_type, "soft")
        entered = ValueInput(setting.data_type, setting.value)
        button = ui.button("Set", on_click=acting(visit, keep, f"{setting.key} set"))
        button.props("flat dense no-caps")
        dialog = asking(
            f"Delete {setting.key}?",
            "Devices go back to what their own configuration says.",
            "Delete",
            acting(visit, delete),
        )
        ui.button("Delete", on_click=dialog.open).props("flat dense no-caps")


def _new(visit: Visit) -> None:
    def create() -> None:
        value = ValueInput.parse(kind.value, entered.value)
        visit.store.settings.create(visit.project_id, key.value, kind.value, value)
        key.value = entered.value = ""

    with card("New setting"), ui.element("div").classes("ef-form"):
        key = ui.input("Key", placeholder="TELEMETRY_METRICS_SECONDS").props("dense outlined")
        kind = ui.select(list(DATA_TYPES), value="integer", label="Type").props("dense outlined")
        entered = ui.input("Value", placeholder="60").props("dense outlined")
        button = ui.button("Create", on_click=acting(visit, create, "Every device is told."))
        button.props("unelevated no-caps")
