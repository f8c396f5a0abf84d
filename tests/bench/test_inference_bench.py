from __future__ import annotations

from pathlib import Path

from rich.console import Console

from bench.inference import GOALS, Plan, full, measure, quick
from bench.inferring.subject import Scale, Subject
from bench.support.releases import Pair
from tests.support.tiny_models import TinyModel, reversed_colours


async def test_a_tiny_run_has_a_row_for_everything(tmp_path: Path) -> None:
    tiny = Pair("tiny", (TinyModel().build(), reversed_colours().build()))
    plan = Plan(
        Scale(turns=1, turn_seconds=0.3, seconds=0.3, prepared=2),
        (Subject(tiny, "ai-edge-litert"),),
    )
    rows = await measure(plan, tmp_path, Console(quiet=True))
    figures = {row.metric: row for row in rows}
    assert figures.keys() >= GOALS.keys()
    assert all(figures[metric].goal for metric in GOALS)
    assert figures["frames"].ours > 0
    assert figures["latency"].ours > figures["of it outside the engine"].ours > 0
    assert figures["memory"].ours > figures["more while a candidate is ready"].ours > 1
    assert len([row for row in rows if row.metric == "preprocessing"]) == 4
    assert figures["processor, one watches"].ours >= 0
    assert figures["processor, nobody watches"].baseline is not None


def test_the_plans_cover_both_models_and_the_full_one_both_runtimes() -> None:
    assert len({subject.name for subject in quick().subjects}) == 2
    assert len({subject.runtime for subject in full().subjects}) == 2
    assert len({subject.name for subject in full().subjects}) == 4
