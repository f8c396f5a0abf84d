"""From a model file to a device that serves it, by the operator's commands alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from demo.stage import await_that
from tests.support.golden import coloured, write_folder
from tests.support.provisioning import Operator
from tests.support.tiny_models import TinyModel
from tests.system.conftest import LABELS, PATIENCE, Bench

pytestmark = pytest.mark.system


class Commands:
    """The operator's commands for the cohort of a bench."""

    def __init__(self, bench: Bench) -> None:
        settings = bench.folder / "operator.toml"
        address, key = bench.cloud.address, bench.folder / "api-key"
        key.touch(0o600)
        key.write_text(address.api_key)
        settings.write_text(f'url = "{address.http}"\napi_key_file = "{key}"\n')
        env = {"EDGEFERRY_OPERATOR": str(settings), "EDGEFERRY_PROJECT": address.project}
        self._operator = Operator(bench.folder, env)
        self._cohort = bench.fleet.cohort

    def publish(self, version: str, *arguments: str | Path) -> None:
        self._done("publish", *arguments, "--version", version)

    def deploy(self, *options: str) -> Any:
        return self._done("deploy", "--cohort", self._cohort, *options)

    def await_status(self, status: str) -> Any:
        """Wait until ``edgeferry fleet`` says that of the bench's device, and return the device."""

        def shown() -> Any:
            (device,) = self._done("fleet", "--cohort", self._cohort)["devices"]
            return device if device["status"] == status else None

        return await_that(f"the fleet shows {status}", shown, PATIENCE)

    def _done(self, *words: str | Path) -> Any:
        run = self._operator.edgeferry(*words, "--json")
        assert run.status == 0, run.error
        return run.document


def test_models_go_from_files_to_a_device_and_back(bench: Bench) -> None:
    bench.device.start("worker")
    bench.device.start("run")
    commands = Commands(bench)
    labels, unfit = bench.folder / "labels.txt", bench.folder / "unfit.tflite"
    labels.write_bytes(LABELS)
    golden = write_folder(bench.folder / "golden", coloured("red", "green"))
    model_1, model_2 = bench.model("p1"), bench.model("p2", side=20)

    commands.publish("p1", model_1, labels, "--golden-set", golden)
    commands.deploy("--version", "p1")
    bench.await_served("p1")
    commands.publish("p2", model_2, labels, "--delta-from", model_1)
    changes = commands.deploy("--version", "p2")["changes"]
    assert {"package": "golden-set", "before": "p1", "after": None, "change": "dropped"} in changes
    bench.await_served("p2")
    commands.deploy("--rollback")
    bench.await_served("p1")
    shown = commands.await_status("current")
    assert shown["runs"] == {"ai-model": "p1", "labels": "p1", "golden-set": "p1"}
    assert shown["online"]

    unfit.write_bytes(TinyModel(classes=3).build())
    commands.publish("unfit", unfit, labels, "--no-check")
    commands.deploy("--version", "unfit")
    shown = commands.await_status("refused")
    assert shown["why"].startswith("label-count-mismatch: ")
    assert shown["runs"]["ai-model"] == "p1"
