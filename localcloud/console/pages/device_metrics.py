"""Charts of what a device measured, a line for each release."""

from __future__ import annotations

from collections.abc import Mapping

from nicegui import ui

from localcloud.console.charts import Value, class_shares, over_time
from localcloud.console.frame import card, empty
from localcloud.console.live import IsSeen, Live
from localcloud.console.pages.metric_charts import (
    SPANS,
    chart_card,
    confidence,
    figures_table,
    set_chart,
)
from localcloud.console.telemetry import Measured, by_release, figures, measurements
from localcloud.console.visit import Visit

_CHARTS: tuple[tuple[str, str, Mapping[str, Value], str], ...] = (
    (
        "Pictures",
        "classified and dropped in each interval",
        {"classified": lambda i: i.classified, "dropped": lambda i: i.dropped},
        "",
    ),
    (
        "Latency",
        "from frame to result, 50th and 95th percentile",
        {"p50": lambda i: i.latency_ms.p50, "p95": lambda i: i.latency_ms.p95},
        "ms",
    ),
    ("Confidence", "mean best score", {"": confidence}, ""),
    (
        "Drift",
        "against its first hour; above 0.25 is worth a look",
        {"": lambda i: i.drift.psi if i.drift else None},
        "",
    ),
)


class MetricsCards:
    """The charts, and the table below them."""

    def __init__(self, visit: Visit, live: Live, device_id: str, is_seen: IsSeen) -> None:
        self._visit, self._device_id = visit, device_id
        self._hours = ui.toggle(SPANS, value=24, on_change=lambda _: live.look())
        self._hours.props("no-caps dense")
        with card() as self._nothing:
            empty(
                "query_stats",
                "Nothing measured in this time",
                "The worker tells once a minute how each release does, while it classifies.",
            )
        with ui.element("div").classes("ef-charts") as self._all:
            self._charts = [chart_card(title, note) for title, note, _, _ in _CHARTS]
            self._classes = chart_card("Classes", "shares of the best class")
        with card("Releases in this time") as self._table:
            self._releases = ui.element("div").classes("ef-scroll")
        live.follow(self._measure, self._show, is_seen)

    def _measure(self) -> list[Measured]:
        return measurements(self._visit, [self._device_id], self._hours.value)

    def _show(self, measured: list[Measured]) -> None:
        self._nothing.set_visibility(not measured)
        for part in (self._all, self._table):
            part.set_visibility(bool(measured))
        releases = by_release(measured)
        sums = [figures(name, told) for name, told in releases.items()]
        for chart, (_, _, values, unit) in zip(self._charts, _CHARTS, strict=True):
            set_chart(chart, over_time(releases, values, unit))
        set_chart(self._classes, class_shares(sums))
        self._releases.clear()
        with self._releases:
            figures_table(sums)
