"""Charts and tables of measurements that several pages show."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from localcloud.console.charts import Options
from localcloud.console.frame import ago, card, text
from localcloud.console.telemetry import Figures, Interval

SPANS = {1: "1 hour", 24: "1 day", 168: "7 days"}
"""How far back measurements are shown, in hours."""


def figures_table(sums: Sequence[Figures]) -> None:
    """Releases or sides as rows of their figures."""
    heads = ("Release", "Pictures", "Dropped", "Errors", "Confidence", "Accuracy", "p50", "p95",
             "Drift", "Last")  # fmt: skip
    with ui.element("table").classes("ef-plain"):
        with ui.element("tr"):
            for head in heads:
                text(head, tag="th")
        for one in sums:
            with ui.element("tr"):
                text(one.name, tag="th")
                for value in (one.frames, one.dropped, one.errors):
                    text(f"{value:,}", tag="td")
                for share in (one.confidence, one.accuracy):
                    text("–" if share is None else f"{share:.1%}", tag="td")
                for latency in (one.latency_p50_ms, one.latency_p95_ms):
                    text("–" if latency is None else f"{latency:.1f} ms", tag="td")
                text("–" if one.psi is None else f"{one.psi:.3f}", tag="td")
                with ui.element("td"):
                    ago(one.last or None)


def chart_card(title: str, note: str) -> ui.echart:
    """An empty chart in a panel."""
    with card(title, note):
        return ui.echart({"series": []}).classes("ef-chart")


def set_chart(chart: ui.echart, options: Options) -> None:
    """Show these options."""
    chart.options.clear()
    chart.options.update(options)
    chart.update()


def confidence(interval: Interval) -> float | None:
    """The mean best score of an interval."""
    return interval.confidence.sum / interval.classified if interval.classified else None
