"""A retrained head over the air as a patch, with the demo's real models on real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.stage import Document
from protocol.delta import companion_name, companion_version, sha256
from provisioning.companions import publish_companion
from tests.system.conftest import LABELS, Bench

pytestmark = pytest.mark.system

MODELS = Path(__file__).parents[2] / "demo" / "models"
MODEL_1, MODEL_2 = MODELS / "model-1.tflite", MODELS / "model-2.tflite"
RETRAINED = MODELS / "model-2-retrained-head.tflite"


def deploy(bench: Bench, version: str, model: Path, companion: str | None = None) -> Document:
    """Deploy a model, with a companion if its artifact is given, and wait until it is served."""
    labels = bench.folder / "labels.txt"
    labels.write_bytes(LABELS)
    artifacts = bench.fleet.upload(version, model, labels)
    bench.fleet.deploy(f"model {version}", [*artifacts, *([companion] if companion else [])])
    bench.await_served(version)
    return last_update(bench)


def last_update(bench: Bench) -> Document:
    update: Document = bench.device.inspect(lambda inspector: inspector.updates(1))[0]
    return update


def check(bench: Bench, update: Document) -> None:
    """The retrained model serves, and nothing but the release is left of the update."""
    assert update["outcome"] == "confirmed"
    state_dir = bench.device.state_dir
    content = RETRAINED.read_bytes()
    assert (state_dir / "current" / "ai-model.tflite").read_bytes() == content
    assert list((state_dir / "partial").iterdir()) == []
    kept = {path.name for path in (state_dir / "blobs").iterdir()}
    assert sha256(content) in kept
    assert len(kept) <= 3


def companion_of_model_2(bench: Bench) -> str:
    published = publish_companion(
        bench.fleet.management, "ai-model", MODEL_2.read_bytes(), RETRAINED.read_bytes()
    )
    assert published is not None
    return published.id


def test_a_retrained_head_comes_as_a_patch(running: Bench) -> None:
    before = deploy(running, "demo-2", MODEL_2)
    assert before["fetched_bytes"] >= MODEL_2.stat().st_size
    update = deploy(running, "demo-2-head", RETRAINED, companion_of_model_2(running))
    check(running, update)
    assert 0 < update["fetched_bytes"] < RETRAINED.stat().st_size / 10
    device = next(d for d in running.fleet.management.devices() if d.id == running.device_id)
    assert device.updates.keys() == {"ai-model", "labels"}


def test_without_the_base_the_full_model_comes(running: Bench) -> None:
    deploy(running, "demo-1", MODEL_1)
    update = deploy(running, "demo-2-head", RETRAINED, companion_of_model_2(running))
    check(running, update)
    size = RETRAINED.stat().st_size
    assert size <= update["fetched_bytes"] < size + 10_000


def test_a_patch_with_wrong_content_leads_to_the_full_model(running: Bench) -> None:
    deploy(running, "demo-2", MODEL_2)
    base, target = MODEL_2.read_bytes(), RETRAINED.read_bytes()
    damaged = running.fleet.management.upload_artifact(
        companion_name("ai-model", 7),
        companion_version(sha256(base), sha256(target)),
        b"\x93EFDLTA\x01 and nothing a patch should hold" * 20,
    )
    update = deploy(running, "demo-2-head", RETRAINED, damaged.id)
    check(running, update)
    size = RETRAINED.stat().st_size
    assert size + damaged.size <= update["fetched_bytes"] < size + damaged.size + 10_000
    assert "is fetched in full" in running.device.agent.log_tail()
