"""From a model file to a device that serves it, by the operator's commands alone."""

from __future__ import annotations

import pytest

from tests.support.golden import coloured, write_folder
from tests.support.tiny_models import TinyModel
from tests.system.commands import Commands
from tests.system.conftest import LABELS, Bench

pytestmark = pytest.mark.system


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
