"""The fleet: every device, what it runs, how it is, with filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments
from starlette.requests import Request

from localcloud.console.fleet import DeviceRow, all_devices
from localcloud.console.fleet_filter import (
    ANY,
    TROUBLE,
    FleetFilter,
    choices,
    table_row,
    tally,
)
from localcloud.console.frame import card, empty, frame, text
from localcloud.console.history import latest_events
from localcloud.console.live import Live
from localcloud.console.pages.parts import event_list
from localcloud.console.visit import Visit

ROWS_PER_PAGE = 25


@ui.page("/")
def fleet_page(request: Request) -> None:
    """The fleet."""
    visit: Visit = request.state.visit
    live = Live(visit)
    with frame(visit, "/", "Fleet"):
        fleet = _Fleet()
        live.follow(lambda: all_devices(visit), fleet.take)
        with card("Latest events", "what devices reported about their updates"):
            live.section(lambda: latest_events(visit), event_list)


class _Fleet:
    """Tiles, filters and table over one reading of the fleet."""

    def __init__(self) -> None:
        self._filter = FleetFilter()
        self._rows: list[DeviceRow] = []
        self._tiles = ui.element("div").classes("ef-tiles")
        with card(classes="ef-fleet") as self._card:
            self._selects = self._make_filters()
            self._table = _make_table(self._turn)
        with card() as self._nothing:
            empty(
                "sensors_off",
                "No device yet",
                "A device appears here once it is enrolled, or connects with a certificate of a CA"
                " that the project knows.",
                "edgeferry provision enroll camera-1",
            )

    def take(self, rows: list[DeviceRow]) -> None:
        """Show these devices."""
        self._rows = rows
        self._nothing.set_visibility(not rows)
        self._card.set_visibility(bool(rows))
        offered = choices(rows)
        for name, options in vars(offered).items():
            self._selects[name].set_options(list(options))
        self._tiles.clear()
        with self._tiles:
            for word, count in tally(rows).items():
                self._tile(word, count)
        self._show()

    def _show(self) -> None:
        rows = self._filter.apply(self._rows)
        page = self._table.pagination
        first = (page["page"] - 1) * page["rowsPerPage"]
        shown = rows[first : first + page["rowsPerPage"]] if page["rowsPerPage"] else rows
        self._table.pagination = {**page, "rowsNumber": len(rows)}
        self._table.rows = [table_row(row) for row in shown]

    def _make_filters(self) -> dict[str, ui.select]:
        with ui.element("div").classes("ef-filters"):
            term = ui.input(placeholder="Find a device", on_change=self._narrow("term"))
            term.props('dense outlined clearable debounce="250" aria-label="Find a device"')
            with term.add_slot("prepend"):
                ui.icon("search")
            return {
                "cohorts": self._select("Cohort", "cohort"),
                "statuses": self._select("Status", "status"),
                "versions": self._select("Version", "version"),
                "links": self._select("Link", "link", ["online", "offline"]),
            }

    def _select(self, label: str, name: str, options: list[str] | None = None) -> ui.select:
        select = ui.select(options or [], label=label, clearable=True, on_change=self._narrow(name))
        return select.props("dense outlined options-dense")

    def _narrow(self, name: str) -> Callable[[Any], None]:
        def narrow(event: Any) -> None:
            setattr(self._filter, name, event.value or ANY)
            self._table.pagination = {**self._table.pagination, "page": 1}
            self._show()

        return narrow

    def _turn(self, event: GenericEventArguments) -> None:
        asked = event.args["pagination"]
        self._filter.order = asked["sortBy"] or ANY
        self._filter.descending = bool(asked["descending"])
        self._table.pagination = asked
        self._show()

    def _tile(self, word: str, count: int) -> None:
        tone = {"online": "good", "updating": "busy", TROUBLE: "bad"}.get(word, "")
        with ui.element("button").classes(f"ef-tile {tone if count else ''}") as tile:
            text(str(count), tag="b")
            text(word)
        tile.on("click", lambda: self._pick(word))

    def _pick(self, word: str) -> None:
        self._selects["links"].value = word if word == "online" else None
        self._selects["statuses"].value = word if word in ("updating", TROUBLE) else None


def _make_table(on_turn: Callable[[GenericEventArguments], None]) -> ui.table:
    table = ui.table(
        rows=[],
        columns=_COLUMNS,
        pagination={"page": 1, "rowsPerPage": ROWS_PER_PAGE, "rowsNumber": 0, "sortBy": None},
    )
    table.props('flat :rows-per-page-options="[25, 100]" no-data-label="No device is like that"')
    table.classes("ef-table")
    for name, template in _CELLS.items():
        table.add_slot(f"body-cell-{name}", template)
    table.on("request", on_turn)
    return table


def _column(name: str, label: str, *, wide: bool = False, sortable: bool = True) -> dict[str, Any]:
    column = {"name": name, "label": label, "field": name, "align": "left", "sortable": sortable}
    return column | ({"classes": "gt-xs", "headerClasses": "gt-xs"} if wide else {})


_COLUMNS = [
    _column("name", "Device"),
    _column("status", "Status"),
    _column("runs", "Runs"),
    _column("worker", "Worker", wide=True, sortable=False),
    _column("seen", "Last heard", wide=True),
]

# Vue's templates: what is between the braces is shown as text, whatever it holds.
_CELLS = {
    "name": """<q-td :props="props"><a class="ef-device" :href="'/devices/' + props.row.id">
      <span :class="'ef-dot ' + (props.row.online ? 'online' : '')"
        :title="props.row.online ? 'online' : 'offline'"></span>
      <span><b>{{ props.row.name }}</b><small>{{ props.row.cohort }}</small></span></a></q-td>""",
    "status": """<q-td :props="props"><span :class="'ef-pill ' + props.row.tone">{{ props.row.status
      }}</span><q-linear-progress v-if="props.row.progress !== null" :value="props.row.progress"
      rounded class="ef-progress"></q-linear-progress><small class="ef-why">{{ props.row.why
      }}</small></q-td>""",
    "runs": """<q-td :props="props"><span v-for="v in props.row.versions" class="ef-version">{{ v
      }}</span><small v-if="props.row.awaits">given {{ props.row.awaits }}</small></q-td>""",
    "seen": """<q-td :props="props"><time v-if="props.row.seen" class="ef-ago"
      :datetime="props.row.seen"></time><span v-else class="soft">never</span></q-td>""",
}
