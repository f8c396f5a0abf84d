"""Settings as a device has them, with values of its own."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from localcloud.console.actions import acting
from localcloud.console.frame import ago, card, empty, pill, text
from localcloud.console.live import Live
from localcloud.console.pages.setting_values import ValueInput
from localcloud.console.visit import Visit
from localcloud.model import Setting, SettingsSync
from localcloud.storage.settings import Scope

_TONES = {"in-sync": "good", "out-of-sync": "busy", "no-settings": "calm"}


def settings_card(visit: Visit, live: Live, device_id: str) -> None:
    """What holds for the device; each may be given a value for it alone."""
    store, project = visit.store, visit.project_id

    def read() -> list[Setting]:
        return store.settings.effective(project, device_id)

    def draw(settings: Sequence[Setting]) -> None:
        if not settings:
            empty(
                "tune",
                "No setting yet",
                "Make one for the whole project on the page Settings; then a device may have its"
                " own value here.",
            )
        for setting in settings:
            _row(visit, device_id, setting)

    def read_sync() -> SettingsSync | None:
        return store.devices.get(project, device_id).metadata.last_settings_status

    with card("Settings", "of the device, its project, and what the device says about them"):
        live.section(read_sync, _sync)
        live.section(read, draw, "ef-settings")


def _sync(sync: SettingsSync | None) -> None:
    if sync is None:
        return
    with ui.element("p").classes("ef-sync"):
        pill(sync.status.replace("-", " "), _TONES[sync.status])
        text(sync.status_detail, "soft")
        if sync.sync_time:
            ago(sync.sync_time)
    for error in sync.errors:
        text(f"{error['key']}: refused with code {error['code']}", "ef-trouble", tag="p")


def _row(visit: Visit, device_id: str, setting: Setting) -> None:
    store, project = visit.store, visit.project_id
    own = setting.device_id is not None

    def keep() -> None:
        value = entered.value()
        if own:
            store.settings.change(project, setting.id, value)
        else:
            store.settings.create(project, setting.key, setting.data_type, value, Scope(device_id))

    def reset() -> None:
        store.settings.delete(project, setting.id)

    with ui.element("div").classes("ef-setting"):
        with ui.element("div"):
            text(setting.key, "ef-key")
            whose = "its blueprint's" if setting.blueprint_id else "the project's"
            text("this device's own" if own else whose, "soft")
        entered = ValueInput(setting.data_type, setting.value)
        keep_button = ui.button("Set for it", on_click=acting(visit, keep, f"{setting.key} set"))
        keep_button.props("flat dense no-caps")
        if own:
            undo = ui.button("As the others", on_click=acting(visit, reset))
            undo.props("flat dense no-caps")
