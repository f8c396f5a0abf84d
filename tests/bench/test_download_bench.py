from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from bench.download import GOALS, GOALS_BY_METRIC, Plan, measure
from bench.downloads.races import LockStep
from bench.downloads.speed import LIMITED_ROADS, ROADS, Scale, case, road
from bench.report import Row

TINY = 20_000
TINY_PLAN = Plan(
    Scale(repetitions=1, seeds=1, seconds=0.2, lossy_seconds=0.2),
    roads=(road(10), road(10, megabits=10)),
    sizes=(TINY,),
    limited_roads=(road(10),),
    limited_sizes=(TINY,),
    shared_size=TINY,
    kills=1,
)


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


async def test_a_tiny_run_has_a_row_for_everything(tiny_folder: Path) -> None:
    rows = await measure(TINY_PLAN, tiny_folder, Console(quiet=True))
    figures = {(row.case, row.metric): row for row in rows}
    assert len(figures) == len(rows)
    fast = figures[case("rtt=10ms loss=0", TINY), "time"]
    assert fast.ours > 0
    assert fast.baseline is not None
    assert figures[case("limit=20/s rtt=10ms loss=0", TINY), "4.29 answers"].ours == 0
    metrics = {row.metric for row in rows}
    assert metrics >= GOALS_BY_METRIC.keys()
    assert all(row.goal for row in rows if row.metric in GOALS_BY_METRIC)
    share = next(row for row in rows if row.metric == "share of the full file")
    assert share.met


def test_every_goal_is_about_a_case_of_the_full_run() -> None:
    known = {case(on.name, 4 << 20) for on in (*ROADS, *LIMITED_ROADS)}
    assert {of_case for of_case, _ in GOALS} <= known


def test_a_scaled_run_says_so() -> None:
    whole = LockStep(seconds=10, blocks=100, total=100, restarts=0, finished=True)
    cut = LockStep(seconds=10, blocks=50, total=100, restarts=2, finished=False)
    assert whole.note == ""
    assert "50 of 100 blocks, scaled" in cut.note
    assert "2x" in cut.note


def test_rows_are_named_as_the_contract_has_it() -> None:
    assert case(road(100).name, 4 << 20) == "rtt=100ms loss=0 size=4MiB"
    assert Row(case(road(50, 0.05).name, 419_192), "time", "s", 1).case == (
        "rtt=50ms loss=5% size=419192B"
    )
