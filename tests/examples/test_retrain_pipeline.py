"""The examples' pipelines as their READMEs run them, each with a cloud and two cameras."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from evaluate import evaluate
from local_fleet import EXAMPLES, FIRST_VERSION, LocalFleet
from pipeline import STEPS, Config, read_config

from demo.stage import await_that

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

PIPELINE = Path(__file__).parents[2] / "examples" / "retrain-pipeline"
PER_SITE = PIPELINE.with_name("per-site")
NORTH, SOUTH = EXAMPLES["per-site"]
# A tenth of a minute is little to judge a release by, and this machine is busy with other tests.
PROMOTE = "--observe-minutes 0.1 --frames 40 --every 2 --timeout-minutes 4 "
MARGINS = "--errors-margin 20 --dropped-margin 50 --latency-margin 2000 --confidence-margin 0.3"
PATIENCE = 120.0


@dataclass
class Run:
    """One pipeline: its configuration and the folder it works in."""

    local: LocalFleet
    config: Path
    folder: Path

    def run(self, *steps: str) -> tuple[int, str]:
        """Start it as a CI job would: its exit status, and what it said was wrong."""
        where = ("--config", str(self.config), "--folder", str(self.folder))
        ended = subprocess.run(
            [sys.executable, str(PIPELINE / "pipeline.py"), *where, *steps],
            env={**os.environ, **self.local.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stderr

    def await_pictures(self) -> None:
        """Wait until there are enough to train on."""
        await_that("enough pictures", lambda: self.run("pull", "label")[0] == 0, PATIENCE, every=2)

    @property
    def version(self) -> str:
        """What it published."""
        return (self.folder / "work" / "version").read_text()

    @property
    def candidate(self) -> Path:
        """The release that it trained."""
        return self.folder / "work" / "candidate"


@dataclass
class Fleet:
    """The cameras and the pipeline."""

    local: LocalFleet
    pipeline: Run
    accuracy_before: float = 0.0

    def served(self, cohort: str) -> str:
        """The model version that a cohort's camera serves."""
        return str(self._status(cohort)["active"]["packages"]["ai-model"]["version"])

    def accuracy(self, cohort: str) -> float:
        """Share of the labelled pictures that the release it serves got right on the device."""
        worker = self._status(cohort)["worker"]
        labelled = worker["releases"][worker["release"]]["labelled"]
        return float(labelled["correct"] / labelled["classified"])

    def classified(self, cohort: str) -> int:
        """How many pictures the release it serves has seen."""
        worker = self._status(cohort)["worker"]
        return int(worker["releases"][worker["release"]]["labelled"]["classified"])

    def _status(self, cohort: str) -> Any:
        return self.local.devices[cohort].inspect(lambda inspector: inspector.status())


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    local = LocalFleet(folder, EXAMPLES["retrain"])
    try:
        local.start()
        hurried = folder / "pipeline.toml"
        config = (PIPELINE / "pipeline.toml").read_text().partition("\npromote = ")[0]
        promote = json.dumps((PROMOTE + MARGINS).split())
        hurried.write_text(f"{config}\npromote = {promote}\n")
        pipeline = Run(local, hurried, folder / "run")
        local.await_samples("canary")
        pipeline.await_pictures()
        fleet = Fleet(local, pipeline)
        fleet.accuracy_before = fleet.accuracy("production")
        yield fleet
    finally:
        local.stop()


@pytest.mark.long
def test_what_every_check_before_was_wrong_about_ends_at_the_canary(fleet: Fleet) -> None:
    # The labels are swapped wherever the pipeline could notice: only the devices know better.
    folder = fleet.pipeline.folder
    swap_labels(folder / "work" / "samples" / "samples.csv")
    swap_folders(folder / "held-out")
    status, said = fleet.pipeline.run("label", "train", "evaluate", "publish", "canary", "promote")
    swap_folders(folder / "held-out")
    assert (status, said.count("pipeline: promote: ")) == (1, 1), said
    fleet.local.await_served("canary", FIRST_VERSION)
    assert fleet.served("production") == FIRST_VERSION


def test_a_better_model_goes_from_the_samples_to_production_by_itself(fleet: Fleet) -> None:
    status, said = fleet.pipeline.run()
    assert status == 0, said
    version = fleet.pipeline.version
    assert version != FIRST_VERSION
    fleet.local.await_served("canary", version)
    fleet.local.await_served("production", version)
    await_that(
        "production sees each picture",
        lambda: fleet.classified("production") >= 40,
        PATIENCE,
        every=1,
    )
    # On pictures that nothing was trained on, as the device itself counted.
    assert fleet.accuracy("production") > fleet.accuracy_before + 0.2


@pytest.mark.long
def test_each_site_gets_the_model_that_is_better_there(tmp_path: Path) -> None:
    local = LocalFleet(tmp_path, (NORTH, SOUTH))
    runs = {
        site: Run(local, PER_SITE / f"{site.cohort}.toml", tmp_path / site.run)
        for site in (NORTH, SOUTH)
    }
    try:
        local.start()
        for site, run in runs.items():
            local.await_samples(site.cohort)
            run.await_pictures()
            status, said = run.run()
            assert status == 0, said
        for site, run in runs.items():
            local.await_served(site.cohort, run.version)
        north, south = runs.values()
        for own, other in ((north, south), (south, north)):
            found = evaluate(own.candidate, other.candidate, own.folder / "held-out")
            assert found["candidate_right"] > found["current_right"] + 5, found
    finally:
        local.stop()


def test_the_examples_configurations_are_read() -> None:
    paths = [PIPELINE / "pipeline.toml", *PER_SITE.glob("*.toml")]
    read = {path.stem: read_config(path) for path in paths}
    assert read["pipeline"].production == "production"
    assert isinstance(read["north"], Config)
    assert (read["north"].canary, read["south"].canary) == ("north", "south")
    assert read["north"].production is None


@pytest.mark.parametrize("name", ["github-actions.yml", "gitlab-ci.yml"])
def test_a_ci_server_runs_all_steps_in_order(name: str) -> None:
    text = (PIPELINE / name).read_text()
    runs = re.findall(r"(?:- run: \$RETRAIN|- python .*pipeline\.toml) (.*)", text)
    assert " ".join(runs).split() == list(STEPS)


def swap_folders(pictures: Path) -> None:
    first, second = sorted(pictures.iterdir())
    aside = first.rename(pictures / "aside")
    second.rename(first)
    aside.rename(second)


def swap_labels(samples: Path) -> None:
    other = {"oranges": "bell-pepper", "bell-pepper": "oranges"}
    with samples.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with samples.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "known_label": other[row["known_label"]]} for row in rows)
