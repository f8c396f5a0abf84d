"""The retraining pipeline as its README runs it: a cloud, a canary and a production camera."""

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
from local_fleet import EXAMPLES, FIRST_VERSION, LocalFleet
from pipeline import STEPS, Config, read_config

from demo.stage import await_that

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

PIPELINE = Path(__file__).parents[2] / "examples" / "retrain-pipeline"
PER_SITE = PIPELINE.with_name("per-site")
# A quarter of a minute is little to judge a release by, and this machine is busy with other tests.
PROMOTE = "--observe-minutes 0.2 --frames 40 --every 4 --timeout-minutes 4 "
MARGINS = "--errors-margin 20 --dropped-margin 50 --latency-margin 2000 --confidence-margin 0.3"
PATIENCE = 120.0


@dataclass
class Fleet:
    """Both cameras, and the pipeline's folder."""

    local: LocalFleet
    folder: Path

    def run(self, *steps: str) -> subprocess.CompletedProcess[str]:
        """Run the pipeline as a CI job would."""
        script = str(PIPELINE / "pipeline.py")
        command = [sys.executable, script, "--config", "pipeline.toml", *steps]
        environment = {**os.environ, **self.local.environment}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

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
        run = folder / "run"
        config = (PIPELINE / "pipeline.toml").read_text().partition("\npromote = ")[0]
        promote = json.dumps((PROMOTE + MARGINS).split())
        (run / "pipeline.toml").write_text(f"{config}\npromote = {promote}\n")
        local.await_samples("canary")
        fleet = Fleet(local, run)
        await_that("enough pictures", lambda: fleet.run("pull", "label").returncode == 0, PATIENCE)
        yield fleet
    finally:
        local.stop()


@pytest.mark.long
def test_what_every_check_before_was_wrong_about_ends_at_the_canary(fleet: Fleet) -> None:
    # The labels are swapped wherever the pipeline could notice: only the devices know better.
    swap_labels(fleet.folder / "work" / "samples" / "samples.csv")
    swap_folders(fleet.folder / "held-out")
    ran = fleet.run("label", "train", "evaluate", "publish", "canary", "promote")
    swap_folders(fleet.folder / "held-out")
    assert (ran.returncode, ran.stderr.count("pipeline: promote: ")) == (1, 1), ran.stderr
    fleet.local.await_served("canary", FIRST_VERSION)
    assert fleet.served("production") == FIRST_VERSION


def test_a_better_model_goes_from_the_samples_to_production_by_itself(fleet: Fleet) -> None:
    before = fleet.accuracy("production")
    ran = fleet.run()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    version = (fleet.folder / "work" / "version").read_text()
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
    assert fleet.accuracy("production") > before + 0.2


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
