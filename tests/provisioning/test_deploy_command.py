"""``edgeferry deploy`` against a real local cloud."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from provisioning.companions import publish_companion
from provisioning.management import Management
from tests.support.provisioning import BackgroundCloud, Operator, Run, deployed

MODELS = {version: b"model " + version.encode() + bytes(range(256)) * 40 for version in "123"}


@dataclass
class Deployer:
    """An operator, and a cohort of its own for each test; versions 1, 2 and 3 are published."""

    operator: Operator
    management: Management
    cohort: str

    def deploy(self, *options: str) -> Run:
        return self.operator.edgeferry("deploy", "--cohort", self.cohort, *options)

    def done(self, *options: str) -> dict[str, str]:
        """Deploy, and the packages the cohort has then."""
        run = self.deploy(*options, "--json")
        assert run.status == 0, run.error
        assert run.document["outcome"] == "deployed"
        return self.packages()

    def packages(self) -> dict[str, str]:
        return deployed(self.management, self.cohort)


@pytest.fixture(scope="module")
def management(running_cloud: BackgroundCloud) -> Iterator[Management]:
    """Of the project in which all of it is published."""
    with running_cloud.management() as management:
        for version, model in MODELS.items():
            management.publish("ai-model", version, model)
            management.publish("labels", version, b"red\ngreen\n")
        management.publish("golden-set", "2", b"pictures")
        management.publish("firmware", "7", b"of another program")
        yield management


@pytest.fixture
def deployer(connected: Operator, management: Management, own_name: str) -> Deployer:
    return Deployer(connected, management, management.create_cohort(own_name))


def test_a_release_is_deployed_with_everything_published_under_its_version(
    deployer: Deployer,
) -> None:
    assert deployer.done("--version", "2") == {"ai-model": "2", "labels": "2", "golden-set": "2"}
    assert deployer.done("--version", "3") == {"ai-model": "3", "labels": "3"}


def test_other_packages_stay_and_one_may_change_alone(deployer: Deployer) -> None:
    deployer.done("--version", "1", "--package", "firmware=7")
    kept = {"firmware": "7", "ai-model": "3", "labels": "3"}
    assert deployer.done("--version", "3") == kept
    assert deployer.done("--package", "labels=1") == {**kept, "labels": "1"}
    assert deployer.done("--without", "firmware") == {"ai-model": "3", "labels": "1"}


def test_patches_go_along_with_the_model_they_make_and_leave_with_it(deployer: Deployer) -> None:
    patch = publish_companion(deployer.management, "ai-model", MODELS["1"], MODELS["3"])
    assert patch is not None
    assert deployer.done("--version", "3").get("ai-model-delta") == patch.version
    assert "ai-model-delta" not in deployer.done("--version", "1")


def test_what_changes_is_shown_and_the_same_again_is_not_deployed(deployer: Deployer) -> None:
    deployer.done("--version", "1")
    run = deployer.deploy("--version", "2")
    lines = [line.split() for line in run.output.splitlines()]
    assert ["ai-model", "1", "2", "changes"] in lines
    assert ["golden-set", "2", "new"] in lines
    assert 'deployed "ai-model 2"' in run.output
    again = deployer.deploy("--version", "2", "--json")
    assert (again.status, again.document["outcome"]) == (0, "unchanged")
    assert len(list(deployer.management.deployments(deployer.cohort))) == 2


def test_rollback_deploys_what_was_there_before(deployer: Deployer) -> None:
    first = deployer.done("--version", "1")
    deployer.done("--version", "2", "--name", "a bad idea")
    assert deployer.done("--rollback") == first
    newest = next(iter(deployer.management.deployments(deployer.cohort)))
    assert newest.name == "back to ai-model 1"
    assert deployer.done("--rollback")["ai-model"] == "2"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "give --version, --package, --rollback or --resign"),
        (("--rollback",), "nothing to go back to"),
        (("--rollback", "--version", "1"), "give it alone"),
        (("--version", "4"), "ai-model has no version 4"),
        (("--package", "labels"), "NAME=VERSION"),
        (("--package", "labels=1"), "devices need ai-model"),
        (("--package", "none-such=1"), "nothing is published as none-such"),
        (("--version", "1", "--without", "lables"), "nothing is published as lables"),
        (("--version", "1", "--without", "labels"), "devices need labels"),
        (("--package", "labels=1", "--without", "labels"), "both name labels"),
        (("--package", "labels=1", "--package", "labels=2"), "given twice"),
    ],
)
def test_what_can_not_be_deployed_is_said_and_nothing_is(
    deployer: Deployer, options: tuple[str, ...], said: str
) -> None:
    run = deployer.deploy(*options)
    assert run.status == 2
    assert said in run.error
    assert list(deployer.management.deployments(deployer.cohort)) == []


def test_a_cohort_that_is_not_there_is_answered_with_those_that_are(deployer: Deployer) -> None:
    deployer.cohort, there = "typo", deployer.cohort
    run = deployer.deploy("--version", "1")
    assert run.status == 2
    assert "no cohort typo" in run.error
    assert there in run.error
