"""``edgeferry fleet``: who runs what, and who does not and why."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioning.commands.looks import Looks
from provisioning.commands.options import CLOUD, PACKAGES, JsonOption, configured, management_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.console import Group

    from provisioning.fleet_view import DeviceView
    from provisioning.operator_settings import OperatorSettings
    from provisioning.recent import Figures

    Seen = tuple[list[DeviceView], Mapping[str, Figures]]
    Look = Callable[[], Seen]

_WHY = 200  # characters of a device's own words
_MEASURED = ("frames/min", "confidence", "drift")
_WIDE = 110
_AGES = ((86400, "d"), (3600, "h"), (60, "min"))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(fleet)


@configured(CLOUD, PACKAGES)
def fleet(
    settings: OperatorSettings,
    cohort: Annotated[
        str | None, typer.Option(help="Only this cohort, by name or id; else all devices.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=1, help="Seconds between two looks with --watch.")
    ] = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Show which versions the devices run, and which of them should run others.

    Status: current (runs what its cohort was given), updating, failing (will try again), refused,
    rolled back (it served and was taken back), stale (has not begun), awaited (never connected),
    disabled, idle (its cohort was given nothing). Troubles come first, with the device's own words.
    With --watch --json one line of JSON follows another.

    Frames per minute, mean confidence and drift are of the last five minutes, where devices send
    metrics; a drift above 0.25 is worth a look.
    """
    from provisioning.fleet_view import FleetView
    from provisioning.recent import recent_figures

    with management_of(settings) as management:
        view = FleetView(management, settings.release_packages, cohort)

        def look() -> Seen:
            return view.look(), recent_figures(management)

        if watch:
            _watch(look, every, as_json=as_json)
        else:
            _once(look, as_json=as_json)


def _once(look: Look, *, as_json: bool) -> None:
    from provisioning.commands.output import plain_console, print_json

    if as_json:
        print_json(_document(*look()))
    else:
        console = plain_console()
        console.print(_table(*look(), console.width))


def _watch(look: Look, every: float, *, as_json: bool) -> None:
    from rich.live import Live

    from provisioning.commands.output import plain_console, print_json

    try:
        if as_json:
            for found in _looks(look, every):
                print_json(_document(*found), indent=None)
        console = plain_console()
        with Live(console=console, auto_refresh=False) as live:
            for found in _looks(look, every):
                live.update(_table(*found, console.width), refresh=True)
    except KeyboardInterrupt:
        return


def _looks(look: Look, every: float) -> Iterator[Seen]:
    """What there is to see, for ever; an outage after the first look is waited out."""
    looks = Looks(look)
    found = looks.first()
    while True:
        yield found
        time.sleep(every)
        found = looks.again(found)


def _document(devices: list[DeviceView], figures: Mapping[str, Figures]) -> dict[str, Any]:
    summary = Counter(device.status for device in devices)
    summary["offline"] = sum(not device.online for device in devices)
    measured = {id_: asdict(found) for id_, found in figures.items()}
    rows = [{**asdict(device), "metrics": measured.get(device.id)} for device in devices]
    return {"devices": rows, "summary": summary}


def _table(devices: list[DeviceView], figures: Mapping[str, Figures], width: int) -> Group:
    from rich.console import Group

    from provisioning.commands.output import plain_table

    # Only where there is something to show in them, and room for it beside why.
    shown = width >= _WIDE and any(device.id in figures for device in devices)
    measured = _MEASURED if shown else ()
    table = plain_table("device", "cohort", "runs", "status", "seen", *measured, "why")
    for column in table.columns:
        column.no_wrap = column.header in {"status", "seen"}
    now = datetime.now(UTC)
    for device in devices:
        table.add_row(
            *(device.name, device.cohort or "", _runs(device), device.status, _seen(device, now)),
            *(_measured(figures.get(device.id)) if measured else ()),
            device.why[:_WHY],
        )
    counts = Counter(device.status for device in devices)
    parts = [f"{number} {status}" for status, number in counts.items()]
    offline = sum(not device.online for device in devices)
    return Group(table, f"{', '.join(parts) or 'no devices'}; {offline} offline")


def _runs(device: DeviceView) -> str:
    """The model's version; the packages that differ from what is wanted, with both versions."""
    model = next(iter(device.runs.values()), "-")
    differing = [
        f"{name} {device.runs.get(name, '-')} → {device.wanted.get(name, '-')}"
        for name in {**device.runs, **device.wanted}
        if device.wanted and device.runs.get(name) != device.wanted.get(name)
    ]
    return "\n".join(differing) or model


def _measured(figures: Figures | None) -> tuple[str, str, str]:
    if figures is None:
        return "", "", ""
    confidence = "" if figures.confidence is None else f"{figures.confidence:.2f}"
    drift = "" if figures.drift is None else f"{figures.drift:.2f}"
    return f"{figures.frames_per_minute:.0f}", confidence, drift


def _seen(device: DeviceView, now: datetime) -> str:
    if device.online:
        return "online"
    if device.seen is None:
        return "never"
    seconds = (now - device.seen).total_seconds()
    for length, unit in _AGES:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return "just now"
