"""From the pictures that devices sent to a better model on the fleet, with nobody in between.

    python pipeline.py --config pipeline.toml              # all steps
    python pipeline.py --config pipeline.toml pull label   # some, as a CI job's steps

Each step is a method of Pipeline. The first that fails ends it with its exit status. Folders are
below the current one, or below --folder.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from releases import LABELS, MODEL, SETTINGS

HERE = Path(__file__).parent
# The same environment's, whether it is activated or not.
EDGEFERRY = str(Path(sys.executable).with_name("edgeferry"))
STEPS = ("pull", "label", "train", "evaluate", "publish", "canary", "promote")
TAKEN_BACK = {"rolled back", "refused"}
FAILED, WRONG_USAGE = 1, 2
_LOOK_SECONDS = 5.0


class Stopped(Exception):  # noqa: N818 - reads as what happened
    """A step found that it goes no further; says why."""

    def __init__(self, why: str, status: int = FAILED) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Config:
    """What pipeline.toml says; every key is explained there."""

    canary: str
    production: str | None = None
    version_prefix: str = ""
    least_pictures: int = 20
    reference_colour: tuple[float, float, float] | None = None
    settle_minutes: float = 30.0
    promote: tuple[str, ...] = ()
    model_package: str = "ai-model"

    @property
    def served(self) -> str:
        """The cohort whose release is to be bettered."""
        return self.production or self.canary


class Pipeline:
    """The steps. What one leaves for the next is in ``folder``, so a job may run them one by one.

    ``releases/<version>/`` has every release that was published: keep it from run to run.
    ``held-out/<label>/`` has pictures that are never trained on. ``work/`` may be thrown away.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        self._config = config
        self._releases, self._held_out = folder / "releases", folder / "held-out"
        self._work = folder / "work"
        self._samples, self._pictures = self._work / "samples", self._work / "pictures"
        self._candidate, self._version_file = self._work / "candidate", self._work / "version"

    def pull(self) -> None:
        """Fetch what the canary's devices sent since the last time."""
        self._work.mkdir(parents=True, exist_ok=True)
        edgeferry("samples", "pull", "--cohort", self._config.canary, "--output", self._samples)

    def label(self) -> None:
        """Choose what to train on."""
        least = ("--least", self._config.least_pictures)
        script("label.py", "--samples", self._samples, "--output", self._pictures, *least)

    def train(self) -> None:
        """Learn from it, starting from the release that serves."""
        colour = self._config.reference_colour
        light = ("--reference-colour", *colour) if colour else ()
        where = ("--pictures", self._pictures, "--output", self._candidate)
        script("train.py", "--base", self._current, *where, *light)

    def evaluate(self) -> None:
        """Compare with the release that serves, on pictures neither was trained on."""
        sides = ("--candidate", self._candidate, "--current", self._current)
        script("evaluate.py", *sides, "--pictures", self._held_out)

    def publish(self) -> None:
        """Upload it under a version of its own, after trying it as a device would."""
        version = self._config.version_prefix + new_version()
        settings = self._candidate / SETTINGS
        own = ("--settings", settings) if settings.exists() else ()
        files = (self._candidate / MODEL, self._candidate / LABELS, *own)
        delta = ("--delta-from", self._current / MODEL)
        edgeferry("publish", *files, "--version", version, *delta)
        shutil.copytree(self._candidate, self._releases / version)
        self._version_file.write_text(version)

    def canary(self) -> None:
        """Give it to the canary's devices."""
        try:
            version = self._version_file.read_text()
        except FileNotFoundError as error:
            raise Stopped(f"{self._version_file} is missing: publish first", WRONG_USAGE) from error
        edgeferry("deploy", "--cohort", self._config.canary, "--version", version)

    def promote(self) -> None:
        """Wait until it proved good there, and give it to production; else the canary goes back."""
        try:
            if self._config.production is None:
                self._settle()
            else:
                cohorts = ("--from", self._config.canary, "--to", self._config.production)
                edgeferry("promote", *cohorts, *self._config.promote)
        except Stopped as stopped:
            # The next run begins from what serves, and no device is left with less.
            edgeferry("deploy", "--cohort", self._config.canary, "--rollback")
            why = f"{stopped}; {self._config.canary} was given its release before again"
            raise Stopped(why, stopped.status) from stopped

    def _settle(self) -> None:
        """Wait until each device serves it, past its commit window."""
        end = time.monotonic() + 60 * self._config.settle_minutes
        while True:
            devices = edgeferry("fleet", "--cohort", self._config.canary, quiet=True)["devices"]
            statuses = {device["status"] for device in devices}
            if statuses == {"current"}:
                return
            if statuses & TAKEN_BACK or time.monotonic() > end:
                said = "; ".join(f"{d['name']} {d['status']}: {d['why']}" for d in devices)
                raise Stopped(f"not every device serves it: {said}")
            time.sleep(_LOOK_SECONDS)

    @cached_property
    def _current(self) -> Path:
        """The folder of the release that the served cohort was given."""
        fleet = edgeferry("fleet", "--cohort", self._config.served, quiet=True)
        package = self._config.model_package
        versions = {device["wanted"].get(package) for device in fleet["devices"]} - {None}
        if not versions:
            raise Stopped(f"cohort {self._config.served} has no devices or no release", WRONG_USAGE)
        folder = self._releases / str(versions.pop())
        if not folder.is_dir():
            raise Stopped(f"{folder} is missing: keep what was published there", WRONG_USAGE)
        return folder


def edgeferry(*words: object, quiet: bool = False) -> Any:
    """The JSON that an ``edgeferry`` command prints. Raises Stopped when it fails."""
    return _run([EDGEFERRY, *map(str, words), "--json"], quiet=quiet)


def script(name: str, *words: object) -> Any:
    """The JSON that a script beside this one prints. Raises Stopped when it fails."""
    return _run([sys.executable, str(HERE / name), *map(str, words)])


def _run(command: list[str], *, quiet: bool = False) -> Any:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not quiet:
        sys.stdout.write(done.stdout)
        sys.stdout.flush()
    if done.returncode != 0:
        what = " ".join(Path(word).name for word in command[:2])
        raise Stopped(f"{what} ended with status {done.returncode}", done.returncode)
    return json.loads(done.stdout)


def new_version() -> str:
    """The time, and the commit where there is one: ``20261128-093000-1a2b3c4``."""
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    now = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    return f"{now}-{commit}" if commit else now


def read_config(path: Path) -> Config:
    """Raises Stopped for a file that can't be read or has an unknown key."""
    try:
        return Config(**tomllib.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise Stopped(f"{path}: {error}", WRONG_USAGE) from error


def _step(name: str) -> str:
    if name not in STEPS:
        raise argparse.ArgumentTypeError(f"there is no step {name}")
    return name


def main() -> None:
    """Run the steps that were named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True, help="a pipeline.toml")
    parser.add_argument("--folder", type=Path, default=Path(), help="in place of the current one")
    about = f"one or more of {', '.join(STEPS)}; default: all"
    parser.add_argument("steps", nargs="*", metavar="STEP", type=_step, help=about)
    arguments = parser.parse_args()
    step = ""
    try:
        pipeline = Pipeline(read_config(arguments.config), arguments.folder)
        for step in arguments.steps or STEPS:
            print(f"── {step}", flush=True)
            getattr(pipeline, step)()
    except Stopped as stopped:
        sys.stderr.write(": ".join(filter(None, ("pipeline", step, str(stopped)))) + "\n")
        sys.exit(stopped.status)


if __name__ == "__main__":
    main()
