"""One cohort: its devices, what it has, deploying, promoting, and its history."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui
from starlette.requests import Request

from localcloud.console.actions import acting
from localcloud.console.deliveries import Deployed, history
from localcloud.console.fleet import TONES, DeviceRow, all_devices
from localcloud.console.fleet_filter import version_texts
from localcloud.console.frame import ago, card, dot, empty, frame, gone, pill, text
from localcloud.console.live import Live
from localcloud.console.pages.deploying import deploy_card, review
from localcloud.console.visit import Visit
from localcloud.errors import CloudError
from localcloud.storage.devices import DeviceUpdate


@ui.page("/cohorts/{cohort_id}")
def cohort_page(request: Request, cohort_id: str) -> None:
    """A cohort."""
    visit: Visit = request.state.visit
    try:
        cohort = visit.store.cohorts.get(visit.project_id, cohort_id)
    except CloudError:
        gone(visit, "/cohorts", "cohort")
        return
    live = Live(visit)
    with frame(visit, "/cohorts", cohort.name):
        with ui.element("div").classes("ef-title"):
            text(cohort.name, tag="h1")
        with ui.element("div").classes("ef-columns"):
            deploy_card(visit, live, cohort_id)
            with card("Devices"):
                _join(visit, cohort_id)
                live.section(
                    lambda: all_devices(visit, cohort_id), lambda rows: _members(visit, rows)
                )
        with card("History", "what it was given, the newest first; the first is in force"):
            live.section(
                lambda: history(visit, cohort_id), lambda past: _history(visit, cohort_id, past)
            )


def _join(visit: Visit, cohort_id: str) -> None:
    others = {row.id: row.name for row in all_devices(visit) if row.cohort != cohort_id}
    if not others:
        return

    def join() -> None:
        for device_id in chosen.value:
            change = DeviceUpdate(cohort_id=cohort_id)
            visit.store.devices.update(visit.project_id, device_id, change)
        chosen.value = []

    with ui.element("div").classes("ef-form"):
        chosen = ui.select(others, label="Add devices", multiple=True, value=[])
        chosen.props("dense outlined use-chips")
        ui.button("Add", on_click=acting(visit, join)).props("unelevated no-caps")


def _members(visit: Visit, rows: Sequence[DeviceRow]) -> None:
    if not rows:
        empty("devices", "No device in it", "Add devices here, or on a device's own page.")
        return
    with ui.element("ol").classes("ef-events"):
        for row in rows:
            _member(visit, row)


def _member(visit: Visit, row: DeviceRow) -> None:
    def leave() -> None:
        visit.store.devices.update(visit.project_id, row.id, DeviceUpdate(cohort_id=""))

    with ui.element("li"):
        dot(online=row.online)
        with ui.link(target=f"/devices/{row.id}"):
            text(row.name, tag="b")
        pill(row.status, TONES[row.status])
        text(", ".join(version_texts(row.runs)), "soft")
        button = ui.button(icon="logout", on_click=acting(visit, leave), color=None)
        button.props('flat dense round size="sm" aria-label="Remove from the cohort"')
        button.classes("ef-right soft")


def _history(visit: Visit, cohort_id: str, past: Sequence[Deployed]) -> None:
    if not past:
        empty("history", "Nothing deployed yet", "Choose versions above and review the change.")
        return
    with ui.element("ol").classes("ef-events"):
        for index, deployed in enumerate(past):
            with ui.element("li"):
                text(deployed.name, tag="b")
                for version in version_texts(deployed.versions):
                    text(version, "ef-version")
                if index == 0:
                    pill("in force", "good")
                else:
                    _again(visit, cohort_id, deployed)
                ago(deployed.at)


def _again(visit: Visit, cohort_id: str, deployed: Deployed) -> None:
    def ask() -> None:
        review(visit, cohort_id, deployed.artifacts, f"again {deployed.name}")

    ui.button("Deploy again", on_click=ask).props("flat dense no-caps")
