"""One device: how it is, what it did, what it measured, and what it can be told."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from localcloud.console.actions import acting
from localcloud.console.deliveries import all_cohorts
from localcloud.console.fleet import TONES, DeviceRow, one_device
from localcloud.console.fleet_filter import link_word, version_texts
from localcloud.console.frame import ago, card, dot, frame, gone, pill, text
from localcloud.console.history import device_events
from localcloud.console.live import Live
from localcloud.console.pages.device_calls import calls_card
from localcloud.console.pages.device_logs import logs_card
from localcloud.console.pages.device_metrics import MetricsCards
from localcloud.console.pages.device_pictures import samples_card, snapshot_card
from localcloud.console.pages.device_settings import settings_card
from localcloud.console.pages.parts import event_list
from localcloud.console.visit import Visit
from localcloud.errors import CloudError
from localcloud.storage.devices import DeviceUpdate

OVERVIEW, METRICS, SAMPLES, LOGS, SETTINGS = "Overview", "Metrics", "Samples", "Logs", "Settings"


@ui.page("/devices/{device_id}")
def device_page(request: Request, device_id: str) -> None:
    """A device."""
    visit: Visit = request.state.visit
    try:
        name = visit.store.devices.get(visit.project_id, device_id).name
    except CloudError:
        gone(visit, "/", "device")
        return
    live = Live(visit)
    with frame(visit, "/", name):
        live.section(lambda: one_device(visit, device_id), _heading, "ef-heading")
        with ui.tabs().props("no-caps align=left inline-label outside-arrows") as tabs:
            for label in (OVERVIEW, METRICS, SAMPLES, LOGS, SETTINGS):
                ui.tab(label)
        panels = ui.tab_panels(tabs, value=OVERVIEW, animated=False).classes("ef-panels")
        with panels, ui.tab_panel(OVERVIEW):
            _overview(visit, live, device_id)
        with panels, ui.tab_panel(METRICS):
            MetricsCards(visit, live, device_id, lambda: panels.value == METRICS)
        with panels, ui.tab_panel(SAMPLES):
            samples_card(visit, live, device_id, lambda: panels.value == SAMPLES)
        with panels, ui.tab_panel(LOGS):
            logs_card(visit, live, device_id)
        with panels, ui.tab_panel(SETTINGS):
            settings_card(visit, live, device_id)
        panels.on_value_change(live.look)


def _heading(row: DeviceRow) -> None:
    said = row.said
    with ui.element("div").classes("ef-title"):
        dot(online=row.online)
        text(row.name, tag="h1")
        pill(row.status, TONES[row.status])
        text(link_word(row), "soft")
    if row.why:
        text(row.why, "ef-why", tag="p")
    if said.progress is not None:
        bar = ui.linear_progress(said.progress, show_value=False).props("rounded")
        bar.classes("ef-progress-wide")
    with ui.element("dl").classes("ef-facts"):
        _fact("State", said.state or "not told")
        _fact("Runs", ", ".join(version_texts(row.runs)) or "nothing")
        _fact("Given", ", ".join(version_texts(row.wanted)) or "nothing")
        _fact("Cohort", row.cohort or "none")
        fps = said.worker.get("fps")
        if isinstance(fps, int | float):
            _fact("Worker", f"{fps:.1f} pictures/s")
        with ui.element("div"):
            text("Last heard", tag="dt")
            with ui.element("dd"):
                ago(row.seen)


def _fact(name: str, value: str) -> None:
    with ui.element("div"):
        text(name, tag="dt")
        text(value, tag="dd")


def _overview(visit: Visit, live: Live, device_id: str) -> None:
    with ui.element("div").classes("ef-columns"):
        calls_card(visit, device_id)
        with ui.element("div").classes("ef-stack"):
            snapshot_card(visit, live, device_id)
            _membership(visit, device_id)
    with card("Timeline", "what it reported about updates, newest first"):
        live.section(
            lambda: device_events(visit, device_id),
            lambda events: event_list(events, with_device=False),
        )


def _membership(visit: Visit, device_id: str) -> None:
    store, project = visit.store, visit.project_id
    cohorts = {cohort.cohort_id: cohort.name for cohort in all_cohorts(visit)}
    options = {"": "no cohort"} | cohorts
    device = store.devices.get(project, device_id)

    def join() -> None:
        change = DeviceUpdate(cohort_id=str(choice.value or ""))
        store.devices.update(project, device_id, change)

    def admit() -> None:
        store.devices.update(project, device_id, DeviceUpdate(enabled=bool(enabled.value)))

    with card("Membership"):
        choice = ui.select(options, value=device.cohort_id or "", label="Cohort")
        choice.props("dense outlined").classes("ef-wide")
        choice.on_value_change(acting(visit, join, "It gets what this cohort was given."))
        enabled = ui.switch("May connect", value=device.enabled)
        enabled.on_value_change(acting(visit, admit))
