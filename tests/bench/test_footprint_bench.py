from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench.footprint import Plan, measure
from bench.footprints.starting import Cost, StartFailed, ended, waiting
from bench.report import Row
from bench.support.releases import Pair
from tests.support.tiny_models import TinyModel, reversed_colours

MB = 1_000_000
LARGE = "held = bytearray(60_000_000)"
BUSY = "import time; end = time.process_time() + 0.2\nwhile time.process_time() < end: pass"


async def test_a_tiny_run_has_a_row_for_everything(tmp_path: Path) -> None:
    tiny = Pair("tiny", (TinyModel().build(), reversed_colours().build()))
    rows = await measure(Plan(1, tiny, first=0), tmp_path, Console(quiet=True))
    figures: dict[str, dict[str, Row]] = {}
    for row in rows:
        figures.setdefault(row.case, {})[row.metric] = row
    cases = ["edgeferry --help", "edgeferry status", "agent", "worker", "engine"]
    assert list(figures) == cases
    for case in cases:
        assert 0 < figures[case]["processor time"].ours < 60
        assert 5 < figures[case]["memory"].ours < 500
        assert all(row.baseline is not None for row in figures[case].values())
    agent, worker = figures["agent"], figures["worker"]
    assert agent["time until ready"].ours < agent["time until connected"].ours
    assert figures["engine"]["memory"].ours < worker["memory"].ours
    assert worker["time until it classifies"].ours > 0


async def test_what_a_command_takes_is_its_own() -> None:
    held = bytearray(50 * MB)  # what this process holds does not count
    nothing = await ended(sys.executable, "-c", "pass")
    large = await ended(sys.executable, "-c", LARGE)
    busy = await ended(sys.executable, "-c", BUSY)
    assert nothing.memory < len(held)
    assert large.memory > nothing.memory + 50 * MB
    assert busy.cpu_seconds > nothing.cpu_seconds + 0.1
    assert busy.seconds > busy.cpu_seconds / 2


async def test_a_command_that_fails_has_no_cost() -> None:
    with pytest.raises(StartFailed, match="status 3"):
        await ended(sys.executable, "-c", "raise SystemExit(3)")
    with pytest.raises(StartFailed, match="nobody_has_this"):
        await waiting("import nobody_has_this")


def test_of_several_starts_each_figure_s_median_counts() -> None:
    costs = [Cost(1.0, 30.0, 200), Cost(2.0, 10.0, 300), Cost(3.0, 20.0, 100)]
    assert Cost.median(costs) == Cost(2.0, 20.0, 200)


def test_help_teaches() -> None:
    command = (sys.executable, "-m", "bench.footprint", "--help")
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for word in ("--quick", "--json FILE", "connected", "first classified picture", "minute"):
        assert word in said
