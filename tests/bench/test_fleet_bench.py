from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.fleet import FULL, QUICK, Plan, measure
from bench.fleets.crowd import ONE_CERTIFICATE_IN
from bench.fleets.figures import Cost, Fleet, Restart, Update, rows_of
from bench.report import Row

SMALL, LARGE = 5, 15
TINY = Plan(fleets=(SMALL, LARGE), artifact_bytes=3000, idle_seconds=0.1)

Figures = dict[tuple[str, str], Row]


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


async def test_a_tiny_run_holds_both_fleets_and_has_a_row_for_everything(tiny_folder: Path) -> None:
    rows = await measure(TINY, tiny_folder, Console(quiet=True))
    cases = list(dict.fromkeys(row.case for row in rows))
    assert cases == [f"devices={SMALL} size=2KiB", f"devices={LARGE} size=2KiB"]
    for case in cases:
        ours = {row.metric: row.ours for row in rows if row.case == case}
        assert len(ours) == len(rows) / 2
        assert 0 < ours["all notified"] <= ours["all fetched"] <= ours["all reported"]
        assert ours["all connected"] > 0
        assert ours["cloud CPU time for the update"] > 0
        assert ours["99 % of signs of life in the update"] > 0
        assert ours["all back after a restart"] > 0
        assert ours["links lost unasked"] == 0
        assert ours["handshakes timed out, connecting"] == 0
        assert ours["handshakes timed out, coming back"] == 0


def fleet(devices: int, cost: float) -> Fleet:
    """One that costs so much in every respect."""
    mishaps = {"handshake_timeouts": 0, "links_lost": 0, "repeated": 0, "refused": 0}
    return Fleet(
        devices,
        artifact_bytes=1 << 20,
        connecting=Cost(cost, cost),
        resident_bytes=int(cost * 2**20),
        idle=Cost(1.0, cost / 100),
        update=Update(cost, cost, cost, cost),
        listed=cost,
        restart=Restart(cost, 0.0, mishaps),
        idle_pings=[1.0],
        busy_pings=[float(ms) for ms in range(100)],
        mishaps=mishaps,
    )


def figures(*fleets: Fleet) -> Figures:
    return {(row.case, row.metric): row for row in rows_of(fleets)}


def test_a_fleet_is_compared_with_the_smallest_times_its_devices() -> None:
    growing = figures(fleet(10, 1.0), fleet(40, 5.0))
    row = growing["devices=40 size=1024KiB", "cloud CPU time for it"]
    assert (row.ours, row.baseline, row.ratio) == (5.0, 4.0, 0.8)
    assert row.met
    assert growing["devices=10 size=1024KiB", "cloud CPU time for it"].baseline is None


def test_growing_faster_than_the_devices_misses_the_goal() -> None:
    quadratic = figures(fleet(10, 1.0), fleet(40, 16.0))
    missed = {metric for (_, metric), row in quadratic.items() if row.met is False}
    assert "idle cloud, share of a core" in missed
    assert "cloud CPU time for the update" in missed


@pytest.mark.parametrize(
    ("connecting", "coming_back", "missed"),
    [(0, 0, []), (2, 0, ["connecting"]), (0, 3, ["coming back"])],
)
def test_devices_that_had_to_wait_too_long_miss_the_goal_of_that_time(
    connecting: int, coming_back: int, missed: list[str]
) -> None:
    quiet = fleet(10, 1.0)
    before = {**quiet.mishaps, "handshake_timeouts": connecting}
    restart = replace(
        quiet.restart, mishaps={**before, "handshake_timeouts": connecting + coming_back}
    )
    rows = rows_of([replace(quiet, mishaps=before, restart=restart)])
    assert [row.metric for row in rows if row.met is False] == [
        f"handshakes timed out, {when}" for when in missed
    ]


def test_the_plans_are_what_the_goals_are_about() -> None:
    assert FULL.fleets[0] == 100
    assert FULL.fleets[-1] == 1000
    assert max(QUICK.fleets) > ONE_CERTIFICATE_IN
