"""``edgeferry publish`` with real models, tried for real, against a real local cloud."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.golden import coloured, write_folder
from tests.support.provisioning import BackgroundCloud, Operator, Run
from tests.support.tiny_models import TinyModel, reversed_colours

LABELS = b"red\ngreen\n"
VERSIONS = itertools.count(1)  # the cloud is shared, and versions never come back


@dataclass
class Publisher:
    """An operator with a model and its labels in files, and a version nobody used."""

    operator: Operator
    cloud: BackgroundCloud
    model: Path
    labels: Path
    version: str = field(default_factory=lambda: f"v{next(VERSIONS)}")

    def publish(self, *options: str | Path) -> Run:
        files = (self.model, self.labels, "--version", self.version)
        return self.operator.edgeferry("publish", *files, *options)

    def published(self) -> dict[str, int]:
        """Packages of this version in the project, and their sizes."""
        with self.cloud.management() as management:
            return {a.package: a.size for a in management.artifacts(version=self.version)}


@pytest.fixture
def publisher(connected: Operator, running_cloud: BackgroundCloud, tmp_path: Path) -> Publisher:
    model, labels = tmp_path / "model.tflite", tmp_path / "labels.txt"
    model.write_bytes(TinyModel().build())
    labels.write_bytes(LABELS)
    return Publisher(connected, running_cloud, model, labels)


def test_a_release_is_tried_and_published_with_all_its_packages(publisher: Publisher) -> None:
    folder = publisher.model.parent
    (folder / "model.json").write_text('{"format": 1, "resize": "squash"}')
    golden = write_folder(folder / "golden", coloured("red", "green"))
    run = publisher.publish("--settings", folder / "model.json", "--golden-set", golden, "--json")
    assert run.status == 0, run.error
    document = run.document
    assert document["check"]["labels"] == 2
    assert document["check"]["golden"]["classes"]["red"] == {"right": 3, "pictures": 3}
    assert {row["package"]: row["outcome"] for row in document["packages"]} == dict.fromkeys(
        ("ai-model", "labels", "model-settings", "golden-set"), "uploaded"
    )
    published = publisher.published()
    assert published.keys() == {"ai-model", "labels", "model-settings", "golden-set"}
    assert published["labels"] == len(LABELS)


def test_the_same_again_changes_nothing_and_other_content_is_refused(publisher: Publisher) -> None:
    first, again = (publisher.publish("--no-check", "--json").document for _ in range(2))
    assert [row["outcome"] for row in again["packages"]] == ["already there"] * 2
    assert [row["id"] for row in again["packages"]] == [row["id"] for row in first["packages"]]
    publisher.model.write_bytes(reversed_colours().build() + b"another")
    run = publisher.publish("--no-check")
    assert run.status == 1
    assert f"ai-model {publisher.version} is published with other content" in run.error
    assert "give it a new version" in run.error


def test_a_taken_version_leaves_nothing_half_published(publisher: Publisher) -> None:
    with publisher.cloud.management() as management:
        management.publish("labels", publisher.version, b"others\nwere\nfirst\n")
    run = publisher.publish("--no-check")
    assert run.status == 1
    assert publisher.published().keys() == {"labels"}


@pytest.mark.parametrize(
    ("labels", "model", "reason"),
    [
        (b"red\ngreen\nblue\n", TinyModel().build(), "label-count-mismatch"),
        (LABELS, TinyModel().build()[:200], "model-"),
    ],
    ids=["labels of another model", "a torn model"],
)
def test_what_devices_would_refuse_is_not_published(
    publisher: Publisher, labels: bytes, model: bytes, reason: str
) -> None:
    publisher.labels.write_bytes(labels)
    publisher.model.write_bytes(model)
    run = publisher.publish()
    assert run.status == 1
    assert f"devices would refuse this release: {reason}" in run.error
    assert publisher.published() == {}


def test_a_model_that_fails_its_golden_set_is_not_published(publisher: Publisher) -> None:
    publisher.model.write_bytes(reversed_colours().build())
    golden = write_folder(publisher.model.parent / "golden", coloured("red", "green"))
    run = publisher.publish("--golden-set", golden)
    assert run.status == 1
    assert "golden-set-failed" in run.error
    assert publisher.published() == {}


def test_patches_from_older_models_stand_side_by_side(publisher: Publisher) -> None:
    padding = bytes(number * 7 % 251 for number in range(20_000))
    target = TinyModel().build() + padding + publisher.version.encode()
    publisher.model.write_bytes(target)
    bases = [publisher.model.with_name(f"old-{number}.tflite") for number in range(2)]
    for number, base in enumerate(bases):
        base.write_bytes(b"%d" % number + target[5:])
    outcomes = []
    for base in (*bases, bases[0]):
        rows = publisher.publish("--no-check", "--delta-from", base, "--json").document["packages"]
        assert rows[-1]["bytes"] < 1000
        outcomes.append((rows[-1]["package"], rows[-1]["outcome"]))
    assert outcomes == [
        ("ai-model-delta", "uploaded"),
        ("ai-model-delta1", "uploaded"),
        ("ai-model-delta", "already there"),
    ]


def test_a_patch_that_would_spare_nothing_is_said_to_be_none(publisher: Publisher) -> None:
    unlike = publisher.model.with_name("old.tflite")
    unlike.write_bytes(b"nothing in common")
    publisher.model.write_bytes(random.Random(1).randbytes(20_000))  # nor anything that compresses
    run = publisher.publish("--no-check", "--delta-from", unlike)
    assert run.status == 0, run.error
    assert "no patch: it would spare devices nothing" in run.output
    assert f"edgeferry deploy --cohort COHORT --version {publisher.version}" in run.output


def test_packages_may_have_names_of_their_own(publisher: Publisher) -> None:
    run = publisher.publish("--no-check", "--model-package", "detector", "--json")
    assert [row["package"] for row in run.document["packages"]] == ["detector", "labels"]
