"""The cohorts: what each was given, and how its devices stand to that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nicegui import ui
from starlette.requests import Request

from localcloud.console.actions import acting
from localcloud.console.deliveries import Deployed, active, all_cohorts
from localcloud.console.fleet import TONES, all_devices
from localcloud.console.fleet_filter import version_texts
from localcloud.console.frame import ago, card, counted, empty, frame, pill, text
from localcloud.console.live import Live
from localcloud.console.visit import Visit
from localcloud.errors import InvalidArgument
from localcloud.model import Cohort


@dataclass(frozen=True)
class _Seen:
    cohort: Cohort
    deployed: Deployed | None
    statuses: dict[str, int]


@ui.page("/cohorts")
def cohorts_page(request: Request) -> None:
    """The cohorts."""
    visit: Visit = request.state.visit
    live = Live(visit)
    with frame(visit, "/cohorts", "Cohorts"):
        live.section(lambda: _read(visit), _draw, "ef-columns")
        _new_cohort(visit)


def _read(visit: Visit) -> list[_Seen]:
    counts: dict[str, Counter[str]] = {}
    for row in all_devices(visit):
        counts.setdefault(row.cohort, Counter())[row.status] += 1
    return [
        _Seen(cohort, active(visit, cohort.cohort_id), dict(counts.get(cohort.cohort_id, {})))
        for cohort in all_cohorts(visit)
    ]


def _draw(seen: Sequence[_Seen]) -> None:
    if not seen:
        with card():
            empty(
                "hub",
                "No cohort yet",
                "Devices of one cohort are given the same deployments. Begin with two: a small one"
                " to try releases on, and one for the rest.",
            )
    for one in seen:
        _cohort(one)


def _cohort(seen: _Seen) -> None:
    cohort = seen.cohort
    count = counted(cohort.device_count, "device")
    with (
        ui.link(target=f"/cohorts/{cohort.cohort_id}").classes("ef-plainlink"),
        card(cohort.name, count, "ef-link"),
    ):
        with ui.element("p"):
            for status in TONES:
                if status in seen.statuses:
                    pill(f"{seen.statuses[status]} {status}", TONES[status])
        if seen.deployed is None:
            text("Nothing deployed yet", "soft", tag="p")
            return
        with ui.element("p"):
            for version in version_texts(seen.deployed.versions):
                text(version, "ef-version")
        with ui.element("p"):
            text(f"{seen.deployed.name} · ", "soft")
            ago(seen.deployed.at)


def _new_cohort(visit: Visit) -> None:
    def create() -> None:
        if not name.value:
            raise InvalidArgument("give the cohort a name first")
        made = visit.store.cohorts.create(visit.project_id, name.value)
        name.value = ""
        ui.navigate.to(f"/cohorts/{made.cohort_id}")

    with card("New cohort"), ui.element("div").classes("ef-form"):
        name = ui.input("Name", placeholder="canary").props("dense outlined")
        button = ui.button("Create", on_click=acting(visit, create))
        button.props("unelevated no-caps")
