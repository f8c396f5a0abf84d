"""``edgeferry deploy`` with a signing key, against a real local cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioning.management import Management
from provisioning.publish_record import PublishRecord, Recorded
from provisioning.signing_keys import KeyLists, create_key, load_key, read_public
from tests.support.provisioning import BackgroundCloud, Operator, Run, deployed

LABELS = b"red\ngreen\n"


@dataclass
class Signer:
    """An operator with a signing key, and packages of its own for each test."""

    operator: Operator
    management: Management
    cohort: str
    names: dict[str, str]

    def run(self, *words: str | Path) -> Run:
        packages = [w for role, name in self.names.items() for w in (f"--{role}-package", name)]
        folder = ("--signing-folder", self.operator.folder)
        return self.operator.edgeferry(*words, *packages, *folder)

    def publish(self, version: str) -> None:
        folder = self.operator.folder
        (folder / "model").write_bytes(b"model " + version.encode())
        (folder / "labels").write_bytes(LABELS)
        files = (folder / "model", folder / "labels", "--no-check", "--version", version)
        run = self.run("publish", *files, *self._signing)
        assert run.status == 0, run.error

    def deploy(self, *options: str, signing: bool = True) -> Run:
        words = ["deploy", "--cohort", self.cohort, "--json", *options]
        words += ["--signature-package", self.names["labels"] + "-signature"]
        return self.run(*words, *(self._signing if signing else ()))

    @property
    def _signing(self) -> tuple[str | Path, ...]:
        return ("--signing-key", self.operator.folder / "release.key.pem")

    def signature(self, run: Run) -> tuple[int, dict[str, str]]:
        """The number a deployment was signed under, and the versions its signature package has."""
        assert run.status == 0, run.error
        assert run.document["outcome"] == "deployed"
        return run.document["signature"]["number"], deployed(self.management, self.cohort)


@pytest.fixture
def signer(connected: Operator, running_cloud: BackgroundCloud, own_name: str) -> Iterator[Signer]:
    create_key(connected.folder / "release.key.pem", None)
    with running_cloud.management() as management:
        cohort = management.create_cohort(own_name)
        names = {"model": f"model-{own_name}", "labels": f"labels-{own_name}"}
        yield Signer(connected, management, cohort, names)


def test_each_deployment_is_signed_under_a_higher_number(signer: Signer) -> None:
    signer.publish("1")
    signer.publish("2")
    first, versions = signer.signature(signer.deploy("--version", "1"))
    package = signer.names["labels"] + "-signature"
    assert versions[package] == str(first)
    second, _ = signer.signature(signer.deploy("--version", "2"))
    third, versions = signer.signature(signer.deploy("--rollback"))
    assert versions[signer.names["model"]] == "1"
    assert first < second < third
    unchanged = signer.deploy("--version", "1", signing=False)
    assert unchanged.document["outcome"] == "unchanged"
    fourth, versions = signer.signature(signer.deploy("--resign"))
    assert versions[signer.names["model"]] == "1"
    assert third < fourth
    fifth, versions = signer.signature(signer.deploy("--rollback"))
    assert versions[signer.names["model"]] == "2", "a new signature is nothing to go back over"
    assert fourth < fifth


def test_what_is_signed_is_not_deployed_unsigned_by_accident(signer: Signer) -> None:
    signer.publish("1")
    signer.publish("2")
    signer.signature(signer.deploy("--version", "1"))
    refused = signer.deploy("--version", "2", signing=False)
    assert refused.status == 2
    assert "give --signing-key, or --unsigned" in refused.error
    done = signer.deploy("--version", "2", "--unsigned", signing=False)
    assert (done.status, done.document["signature"]) == (0, None)
    number, _ = signer.signature(signer.deploy("--version", "2"))
    assert number, "signing alone is news where there was no signature"


def test_a_cloud_is_not_believed(signer: Signer) -> None:
    """Someone who may upload puts another model under the version that is to be deployed."""
    signer.management.publish(signer.names["model"], "1", b"another model")
    signer.management.publish(signer.names["labels"], "1", LABELS)
    refused = signer.deploy("--version", "1")
    assert refused.status == 2
    assert "nobody here knows what it should be" in refused.error
    PublishRecord(signer.operator.folder).add(
        Recorded.of(signer.management.project, name, "1", content)
        for name, content in zip(signer.names.values(), (b"the model", LABELS), strict=True)
    )
    refused = signer.deploy("--version", "1")
    assert refused.status == 2
    assert "has other content in the cloud than was published from here" in refused.error


def test_a_key_that_the_key_list_revokes_signs_nothing(signer: Signer) -> None:
    folder = signer.operator.folder
    create_key(folder / "daily.key.pem", None)
    keys = [load_key(folder / "release.key.pem", lambda _: b"")]
    KeyLists().followed_by(keys, [read_public(folder / "daily.pub.pem")]).write(folder)
    signer.publish("1")
    refused = signer.deploy("--version", "1")
    assert refused.status == 2
    assert "key list 1 lets none of these keys sign releases" in refused.error


def test_numbers_grow_though_a_clock_was_wrong(signer: Signer) -> None:
    signer.publish("1")
    package = signer.names["labels"] + "-signature"
    signer.management.publish(package, "99999999999", b"signed by a clock in the far future")
    number, _ = signer.signature(signer.deploy("--version", "1"))
    assert number == 100_000_000_000


def test_the_record_is_only_added_to_and_damage_is_named(signer: Signer) -> None:
    signer.publish("1")
    signer.publish("1")
    record = PublishRecord(signer.operator.folder)
    lines = record.path.read_text().splitlines()
    assert [json.loads(line)["version"] for line in lines] == ["1", "1"], "model and labels, once"
    record.path.write_text(lines[0] + "\n{\n")
    refused = signer.deploy("--version", "1")
    assert refused.status == 1
    assert "line 2 is damaged" in refused.error
