"""Two releases or two cohorts beside each other."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui
from starlette.requests import Request

from localcloud.console.charts import class_shares, over_time
from localcloud.console.comparing import MEASURES, Side, side
from localcloud.console.deliveries import all_cohorts
from localcloud.console.fleet import all_devices
from localcloud.console.frame import card, empty, frame, text
from localcloud.console.live import Live
from localcloud.console.pages.metric_charts import SPANS, chart_card, confidence, set_chart
from localcloud.console.telemetry import Measured, by_release, measurements
from localcloud.console.visit import Visit

RELEASES, COHORTS = "Releases", "Cohorts"


@ui.page("/compare")
def compare_page(request: Request) -> None:
    """The comparison."""
    visit: Visit = request.state.visit
    live = Live(visit)
    with frame(visit, "/compare", "Compare"):
        _Comparison(visit, live)


class _Comparison:
    """Two sides, chosen from what there is."""

    def __init__(self, visit: Visit, live: Live) -> None:
        self._visit = visit
        self._groups: dict[str, list[Measured]] = {}
        with card("Compare", "on what devices measured"):
            with ui.element("div").classes("ef-form"):
                self._kind = ui.toggle([RELEASES, COHORTS], value=RELEASES, on_change=self._turn)
                self._hours = ui.toggle(SPANS, value=24, on_change=self._look)
                for toggle in (self._kind, self._hours):
                    toggle.props("no-caps dense")
            with ui.element("div").classes("ef-form"):
                self._sides = [self._choice("A"), self._choice("B")]
            self._table = ui.element("div").classes("ef-scroll")
        with ui.element("div").classes("ef-columns") as self._charts:
            self._confidence = chart_card("Confidence", "mean best score of each interval")
            self._latency = chart_card("Latency", "95th percentile of each interval")
            self._classes = chart_card("Classes", "shares of the best class")
        self._refresh = live.follow(self._read, self._take)

    def _choice(self, label: str) -> ui.select:
        select = ui.select([], label=label, on_change=lambda _: self._show())
        return select.props("dense outlined")

    def _look(self, _: Any) -> None:
        self._refresh()

    def _turn(self, _: Any) -> None:
        for select in self._sides:
            select.value = None
        self._refresh()

    def _read(self) -> dict[str, list[Measured]]:
        measured = measurements(self._visit, None, self._hours.value)
        if self._kind.value == RELEASES:
            return by_release(measured)
        names = {cohort.cohort_id: cohort.name for cohort in all_cohorts(self._visit)}
        cohorts = {row.id: names.get(row.cohort, "") for row in all_devices(self._visit)}
        groups: dict[str, list[Measured]] = {}
        for one in measured:
            if name := cohorts.get(one.device_id):
                groups.setdefault(name, []).append(one)
        return groups

    def _take(self, groups: dict[str, list[Measured]]) -> None:
        self._groups = groups
        names = list(groups)
        newest = names[-2:] if len(names) > 1 else [*names, *names]
        for index, select in enumerate(self._sides):
            chosen = select.value if select.value in names else None
            fallback = newest[index] if newest else None
            select.set_options(names, value=chosen or fallback)
        self._show()

    def _show(self) -> None:
        chosen = [select.value for select in self._sides if select.value in self._groups]
        sides = [side(name, self._groups[name]) for name in dict.fromkeys(chosen)]
        self._charts.set_visibility(len(sides) > 1)
        self._table.clear()
        with self._table:
            if len(sides) > 1:
                _figures(sides)
                self._advise([s.total.name for s in sides])
            else:
                _too_little()
        told = {name: self._groups[name] for name in dict.fromkeys(chosen)}
        set_chart(self._confidence, over_time(told, {"": confidence}))
        set_chart(self._latency, over_time(told, {"": lambda i: i.latency_ms.p95}, "ms"))
        set_chart(self._classes, class_shares([one.total for one in sides]))

    def _advise(self, names: Sequence[str]) -> None:
        option = "--releases" if self._kind.value == RELEASES else "--cohorts"
        words = [name.removeprefix("version ").removeprefix("release ") for name in names]
        text("Whether the difference is more than chance, with what each device counts for:",
             "soft", tag="p")  # fmt: skip
        command = shlex.join(["edgeferry", "compare", option, *words])
        text(command, "ef-command", tag="code")


def _too_little() -> None:
    empty(
        "balance",
        "Nothing to compare yet",
        "It takes measurements of two releases, or of two cohorts, in this time. Deploy a new"
        " version to a cohort and leave the other as it is.",
    )


def _figures(sides: Sequence[Side]) -> None:
    rows: list[tuple[str, Callable[[Side], str]]] = [
        ("Devices", lambda s: f"{s.total.devices:,}"),
        ("Pictures", lambda s: f"{s.total.frames:,}"),
    ]
    with ui.element("table").classes("ef-plain"):
        with ui.element("tr"):
            for head in ("", *(one.total.name for one in sides)):
                text(head, tag="th")
        for name, value in rows:
            _row(name, [value(one) for one in sides])
        for measure in MEASURES:
            _row(measure, [str(one.means.get(measure, "–")) for one in sides])
    text("Means over devices, with 95 % intervals where there are two or more.", "soft", tag="p")


def _row(name: str, values: Sequence[str]) -> None:
    with ui.element("tr"):
        text(name, tag="th")
        for value in values:
            text(value, tag="td")
