"""Releases of real models, with and without a golden set, through the verifier."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from agent.store.names import PackageNames
from agent.store.release_store import ReleaseStore
from agent.trial.settings import ProofSettings
from agent.trial.verifier import ReleaseVerifier
from agent.worker.settings import WorkerSettings
from demo.training.measure import DEMO
from provisioning.golden_set import pack_golden_set
from states.model import Release
from states.ports import Postponed, Rejected
from states.reasons import Rejection
from tests.support.golden import archive, coloured, write_folder
from tests.support.releases import admit, new_store
from tests.support.tiny_models import TinyModel, reversed_colours

GOOD, WRONG = TinyModel().build(), reversed_colours().build()
LABELS = b"red\ngreen\n"
Document = dict[str, Any]


class Bench:
    """A store, and a verifier over it."""

    def __init__(self, state_dir: Path) -> None:
        self.store = new_store(state_dir)

    def release(self, model: bytes, labels: bytes = LABELS, **more: bytes) -> Release:
        """A complete release on disk; more packages by name, with _ for -."""
        contents = {"ai-model": model, "labels": labels}
        contents |= {name.replace("_", "-"): content for name, content in more.items()}
        packages = (admit(self.store, name, "1", content) for name, content in contents.items())
        release = Release(tuple(packages))
        self.store.assemble(release)
        return release

    def activate(self, release: Release) -> None:
        self.store.switch(release.id, None)

    async def verify(self, release: Release, *, known_good: bool = False, **proof: Any) -> Document:
        verifier = ReleaseVerifier(
            self.store, WorkerSettings(), PackageNames(), ProofSettings(**proof)
        )
        return json.loads(json.dumps(await verifier.verify(release, known_good)))  # type: ignore[no-any-return]

    async def refusal(self, release: Release, **how: Any) -> Rejected:
        with pytest.raises(Rejected) as caught:
            await self.verify(release, **how)
        return caught.value


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "state")


@pytest.fixture(scope="module")
def fruit() -> bytes:
    return pack_golden_set(DEMO / "pictures")


def demo_model(name: str) -> bytes:
    return (DEMO / "models" / f"{name}.tflite").read_bytes()


async def test_the_collapsed_demo_model_is_refused_and_the_good_one_is_not(
    bench: Bench, fruit: bytes
) -> None:
    labels = (DEMO / "models" / "labels.txt").read_bytes()
    bench.activate(bench.release(demo_model("model-1"), labels))
    good = bench.release(demo_model("model-2"), labels, golden_set=fruit)
    evidence = await bench.verify(good)
    assert evidence["golden"]["pictures"] == 40
    assert evidence["golden"]["accuracy"] > 0.85
    assert evidence["active"]["golden"]["accuracy"] < 0.75
    assert evidence["golden_set"]["sha256"] == good.package("golden-set").sha256  # type: ignore[union-attr]
    bench.activate(good)
    collapsed = bench.release(demo_model("collapsed"), labels, golden_set=fruit)
    refusal = await bench.refusal(collapsed)
    assert refusal.reason is Rejection.GOLDEN_SET_FAILED
    assert "'oranges' to all 40 pictures" in refusal.detail
    assert refusal.evidence
    assert refusal.evidence["golden"]["classes"] == {  # type: ignore[index]
        "bell-pepper": {"right": 0, "pictures": 20},
        "oranges": {"right": 20, "pictures": 20},
    }


async def test_a_candidate_behind_the_active_release_is_refused_unless_it_served_well_before(
    bench: Bench,
) -> None:
    pictures = archive(coloured("red", "green", "blue"))
    labels = b"red\ngreen\nblue\n"
    bench.activate(bench.release(TinyModel(classes=3).build(), labels))
    blind = TinyModel(weights=((12, 0, 0), (0, 12, 0), (-9, -9, -9))).build()
    candidate = bench.release(blind, labels, golden_set=pictures)
    refusal = await bench.refusal(candidate)
    assert refusal.reason is Rejection.GOLDEN_SET_FAILED
    assert "active release on 9 of 9" in refusal.detail
    evidence = await bench.verify(candidate, known_good=True)
    assert (evidence["golden"]["right"], evidence["active"]) == (6, None)
    assert await bench.refusal(candidate, known_good=True, golden_minimum_accuracy=0.7)


async def test_an_active_release_that_lacks_a_label_is_wrong_about_it(bench: Bench) -> None:
    bench.activate(bench.release(GOOD))
    pictures = archive(coloured("red", "green", "blue"))
    wider = bench.release(TinyModel(classes=3).build(), b"red\ngreen\nblue\n", golden_set=pictures)
    evidence = await bench.verify(wider)
    assert (evidence["golden"]["right"], evidence["active"]["golden"]["right"]) == (9, 6)


async def test_without_an_active_release_the_minimum_alone_decides(bench: Bench) -> None:
    pictures = archive(coloured("red", "green"))
    assert (await bench.verify(bench.release(GOOD, golden_set=pictures)))["active"] is None
    refusal = await bench.refusal(bench.release(WRONG, golden_set=pictures))
    assert "0 of 6 pictures (0.0%)" in refusal.detail


async def test_a_golden_set_at_fault_is_refused_with_the_release(bench: Bench) -> None:
    refusal = await bench.refusal(bench.release(GOOD, golden_set=b"no archive"))
    assert refusal.reason is Rejection.GOLDEN_SET_INVALID


async def test_a_local_folder_serves_releases_without_a_set(bench: Bench, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "golden", coloured("red", "green"))
    assert (await bench.refusal(bench.release(WRONG), golden_set=folder)).reason is (
        Rejection.GOLDEN_SET_FAILED
    )
    evidence = await bench.verify(bench.release(GOOD), golden_set=folder)
    assert evidence["golden_set"]["folder"] == str(folder)
    assert len(evidence["golden_set"]["digest"]) == 64


async def test_a_local_folder_at_fault_is_no_fault_of_the_release(
    bench: Bench, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "golden", {"blue/1.jpg": b"no picture"})
    with pytest.raises(Postponed, match=r"update\.golden_set .*'blue' is not in the labels"):
        await bench.verify(bench.release(GOOD), golden_set=folder)
    with pytest.raises(Postponed, match="absent"):
        await bench.verify(bench.release(GOOD), golden_set=tmp_path / "absent")


async def test_a_release_over_its_own_budget_is_refused(bench: Bench) -> None:
    settings = json.dumps({"format": 1, "latency_budget_ms": 0.001}).encode()
    refusal = await bench.refusal(bench.release(GOOD, model_settings=settings))
    assert refusal.reason is Rejection.TOO_SLOW
    assert "its model.json allows 0.001" in refusal.detail
    assert refusal.evidence


async def test_a_far_slower_candidate_is_refused_unless_it_served_well_before(
    bench: Bench,
) -> None:
    bench.activate(bench.release(GOOD))
    slow = bench.release(TinyModel(side=512, layers=12, data_type="float32").build())
    refusal = await bench.refusal(slow)
    assert refusal.reason is Rejection.TOO_SLOW
    assert "with the active release" in refusal.detail
    await bench.verify(slow, known_good=True)


async def test_an_active_release_that_can_not_be_tried_stops_nobody(
    bench: Bench, store_damage: Any
) -> None:
    active = bench.release(WRONG)
    bench.activate(active)
    store_damage(bench.store, active)
    evidence = await bench.verify(bench.release(GOOD))
    assert evidence["active"]["release"] == active.id
    assert evidence["active"]["not_measured"]


@pytest.fixture
def store_damage() -> Any:
    def damage(store: ReleaseStore, release: Release) -> None:
        model = release.package("ai-model")
        assert model
        store.blob_path(model).unlink()

    return damage


async def test_normalization_of_a_release_is_used_in_its_trial(bench: Bench) -> None:
    # With black and white exchanged by model.json, the model sees the opposite of each colour.
    exchanged = {"mean": [1.0] * 3, "std": [0.5] * 3}
    settings = json.dumps({"format": 1, "normalization": exchanged}).encode()
    model = TinyModel(data_type="float32", weights=((12, 0, 0), (0, 12, 0))).build()
    pictures = archive(coloured("red", "green"))
    evidence = await bench.verify(
        bench.release(model, model_settings=settings, golden_set=pictures)
    )
    assert evidence["golden"]["right"] == 6
    swapped = json.dumps({"format": 1, "colour_order": "bgr"}).encode()
    blue_red = TinyModel(weights=((0, 0, 12), (0, 12, 0))).build()
    evidence = await bench.verify(
        bench.release(blue_red, model_settings=swapped, golden_set=pictures)
    )
    assert evidence["golden"]["right"] == 6


async def test_a_sandbox_that_is_not_whole_is_logged_once(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = bench.release(GOOD)
    verifier = ReleaseVerifier(bench.store, WorkerSettings(), PackageNames(), ProofSettings())
    monkeypatch.setattr(
        "agent.trial.verifier.shortfalls",
        lambda sandbox: ["system calls (libseccomp is not installed)"],
    )
    with caplog.at_level(logging.WARNING):
        await verifier.verify(release, True)
        await verifier.verify(release, True)
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert [r.getMessage() for r in warnings] == [
        "models are tried without a full sandbox: no system calls (libseccomp is not installed)"
    ]
