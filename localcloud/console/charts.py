"""Charts of what devices measured, as ECharts' options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from localcloud.console.telemetry import Figures, Interval, Measured

COLOURS = ("#17b3a6", "#ff9f1c", "#4f7cff", "#d1495b", "#8e6bbf", "#7a8b99")
POINTS = 300
_MUTED = "#7a8b99"  # readable on light and dark ground
_CLASSES = 8
_NOT_KNOWN = {
    "text": "not known yet",
    "left": "center",
    "top": "middle",
    "textStyle": {"color": _MUTED, "fontSize": 13, "fontWeight": "normal"},
}

Options = dict[str, Any]
Value = Callable[[Interval], float | None]


def over_time(
    releases: Mapping[str, Sequence[Measured]], values: Mapping[str, Value], unit: str = ""
) -> Options:
    """Lines over time, one for each release and value; the first value's are solid."""
    series = []
    for index, (release, measured) in enumerate(releases.items()):
        for style, (what, value) in zip(("solid", "dashed"), values.items(), strict=False):
            name = f"{release} {what}".strip()
            series.append(_line(name, COLOURS[index % len(COLOURS)], style, measured, value))
    if not any(line["data"] for line in series):
        return {"title": _NOT_KNOWN}
    return {
        **_base(),
        "xAxis": {"type": "time", **_axis(split=False)},
        "yAxis": {"type": "value", "scale": True, **_axis(unit)},
        "series": series,
    }


def class_shares(sides: Sequence[Figures]) -> Options:
    """Bars of each side's shares of classes, the most frequent of the first side on top."""
    names: dict[str, None] = {}
    for side in sides:
        names |= dict.fromkeys(side.classes)
    shown = list(names)[:_CLASSES]
    return {
        **_base(),
        "xAxis": {"type": "value", **_axis("%")},
        "yAxis": {"type": "category", "inverse": True, "data": shown, **_axis(split=False)},
        "series": [
            {
                "name": side.name,
                "type": "bar",
                "barMaxWidth": 14,
                "color": COLOURS[index % len(COLOURS)],
                "data": [round(100 * side.classes.get(name, 0), 1) for name in shown],
            }
            for index, side in enumerate(sides)
        ],
    }


def _line(
    name: str, colour: str, style: str, measured: Sequence[Measured], value: Value
) -> Options:
    points = [(_milliseconds(one.time), value(one.interval)) for one in measured]
    step = -(-len(points) // POINTS) or 1
    return {
        "name": name,
        "type": "line",
        "color": colour,
        "lineStyle": {"type": style, "width": 2},
        "showSymbol": len(points) < 3,
        "data": [[at, y] for at, y in points[::step] if y is not None],
    }


def _milliseconds(moment: str) -> int:
    return int(datetime.fromisoformat(f"{moment[:23]}+00:00").timestamp() * 1000)


def _base() -> Options:
    return {
        "animation": False,
        "textStyle": {"fontFamily": "Roboto, system-ui, sans-serif"},
        "grid": {"left": 8, "right": 16, "top": 40, "bottom": 8, "containLabel": True},
        "legend": {
            "top": 0,
            "left": 0,
            "type": "scroll",
            "icon": "circle",
            "itemWidth": 10,
            "textStyle": {"color": _MUTED},
        },
        "tooltip": {"trigger": "axis", "confine": True},
    }


def _axis(unit: str = "", *, split: bool = True) -> Options:
    line = {"color": "rgba(122, 139, 153, 0.25)"}
    return {
        "axisLine": {"lineStyle": line},
        "splitLine": {"show": split, "lineStyle": line},
        "axisLabel": {"color": _MUTED, "hideOverlap": True} | _with_unit(unit),
    }


def _with_unit(unit: str) -> Options:
    return {"formatter": f"{{value}} {unit}"} if unit else {}
