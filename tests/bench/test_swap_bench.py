from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from agent.worker.choices import Preprocessing
from agent.worker.model.runtime import find_runtime
from agent.worker.model.tensors import Preprocessor, TensorSpec
from bench.support.mobilenet import SIDE, mobilenet
from bench.support.original import prepared
from bench.support.releases import Pair
from bench.swap import GOALS, Case, full, measure, quick
from bench.swaps.figures import Scale, Stretch, Swapping
from tests.support.tiny_models import TinyModel, reversed_colours

TINY_SCALE = Scale(swaps=2, pause_seconds=0.05, steady_seconds=0.2, frames_per_second=50)


async def test_a_tiny_run_has_a_row_for_everything(tmp_path: Path) -> None:
    tiny = Pair("tiny", (TinyModel().build(), reversed_colours().build()))
    case = Case(tiny, "ai-edge-litert", busy=False, scale=TINY_SCALE)
    rows = await measure([case], tmp_path, Console(quiet=True))
    swapping = {row.metric: row for row in rows if row.case == case.name}
    back = {row.metric: row for row in rows if row.case != case.name}
    assert len(swapping) + len(back) == len(rows)
    kept = {metric for metric in swapping if "without swaps" in metric}
    assert all((row.baseline is None) == (row.metric in kept) for row in swapping.values())
    for figures in (swapping, back):
        assert all(figures[metric].goal for metric in GOALS)
        assert figures["swap time"].ours > 0
        assert figures["largest gap"].ours > 0
        assert figures["largest gap in as long without swaps"].ours > 0
        assert "of 0 frames" not in figures["dropped in as long without swaps"].note


def test_the_plans_are_what_the_goals_are_about() -> None:
    assert all(case.scale.swaps >= 100 for case in full() if not case.busy)
    assert {case.busy for case in full()} == {True, False}
    assert len({case.pair.name for case in quick()}) == 2
    names = [case.name for case in full()]
    assert len(set(names)) == len(names)


def test_a_gap_is_judged_by_how_steady_results_come_otherwise() -> None:
    steady = Stretch([33.0] * 199 + [66.0], captured=200, dropped=0)
    parts = [Stretch([33.0, 40.0], 3, 1), Stretch([99.0], 1, 0)]
    run = Swapping(steady, Stretch.of(parts), [500.0, 300.0, 400.0])
    assert run.steady_p99 == 33
    assert (run.swapping.captured, run.swapping.dropped) == (4, 1)
    assert (run.swapping.largest_gap, run.unsteadiness) == (99, 3)
    assert run.swap_time == 400


def test_the_larger_model_is_a_real_one_of_some_megabytes() -> None:
    model = mobilenet(1)
    assert 3e6 < len(model) < 5e6
    assert model == mobilenet(1) != mobilenet(2)
    interpreter = find_runtime().open(model)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    picture = np.random.default_rng(1).random((1, SIDE, SIDE, 3), np.float32)
    interpreter.set_tensor(source["index"], picture)
    interpreter.invoke()
    scores = interpreter.get_tensor(target["index"])[0]
    assert scores.sum() == pytest.approx(1)
    assert scores.min() > 0.01


@pytest.mark.parametrize(
    ("data_type", "scale", "zero_point"), [("int8", 1 / 255, -128), ("float32", 0.0, 0)]
)
def test_the_original_gives_a_model_the_same_picture(
    data_type: str, scale: float, zero_point: int
) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    spec = TensorSpec(0, (1, 40, 40, 3), data_type, scale, zero_point)  # type: ignore[arg-type]
    ours = Preprocessor(spec, Preprocessing())(frame)
    theirs = prepared(frame, 40, 40, np.dtype(data_type).type)
    assert theirs.dtype == ours.dtype
    np.testing.assert_allclose(theirs, ours, atol=1e-6)
