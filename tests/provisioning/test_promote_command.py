"""``edgeferry promote`` against a real local cloud, with devices that speak over real DTLS."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from protocol.report import OtaReason, OtaState
from provisioning.analysis.promotion import Evidence
from provisioning.errors import Unreachable
from provisioning.management import Management
from provisioning.metrics import METRICS_PATH
from provisioning.promoting import Promotion
from provisioning.publish_record import PublishRecord, Recorded
from provisioning.signing_keys import create_key
from tests.support.provisioning import BackgroundCloud, Operator, Run, deployed
from tests.support.telemetry import SpeakingDevice, minutes, stream
from tests.support.waiting import PATIENCE

NEW = {"ai-model": "2", "labels": "2"}
TAKEN_BACK = (
    (OtaState.UPDATING, OtaReason.FIRMWARE_UPDATE_FAILED),
    (OtaState.IDLE, OtaReason.READY),
)


@dataclass
class Fleet:
    """Cohorts of its own for each test: production runs version 1, the canary was given 2."""

    operator: Operator
    cloud: BackgroundCloud
    management: Management
    name: str
    devices: list[SpeakingDevice] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.canary = self.management.create_cohort(f"{self.name}-canary")
        self.production = self.management.create_cohort(f"{self.name}-production")
        self.deploy(self.production, "1", "firmware")
        self.deploy(self.canary, "2")
        self.devices = [
            SpeakingDevice(self.cloud, self.management, f"{self.name}-{i}", self.canary)
            for i in range(2)
        ]
        # Production's devices matter by what they measured alone.
        for i in range(2):
            old = self.management.create_device(f"{self.name}-old-{i}", cohort_id=self.production)
            stream(self.cloud, old.id, METRICS_PATH, minutes(40, seed=i, accuracy=0.9))

    def deploy(self, cohort: str, version: str, *others: str) -> None:
        known = {(a.package, a.version): a.id for a in self.management.artifacts()}
        wanted = [("ai-model", version), ("labels", version), *((name, "7") for name in others)]
        self.management.deploy(cohort, "", [known[each] for each in wanted])

    def serve(self, **figures: Any) -> None:
        """All of the canary's devices serve the release, and measured this."""
        for i, device in enumerate(self.devices):
            device.runs("release-of-2", NEW)
            measured = minutes(40, seed=10 + i, version="2", **{"accuracy": 0.95, **figures})
            device.measured(measured[:2])
            stream(self.cloud, device.id, METRICS_PATH, measured)

    def promote(self, *options: str) -> Run:
        return self.operator.edgeferry(
            "promote",
            *("--from", f"{self.name}-canary", "--to", f"{self.name}-production"),
            *("--observe-minutes", "30", "--json"),
            *options,
        )

    def promote_patiently(self) -> Run:
        """Look again and again."""
        return self.promote("--every", "0.1", "--timeout-minutes", str(PATIENCE / 60))

    def in_production(self) -> dict[str, str]:
        return deployed(self.management, self.production)


@pytest.fixture(scope="module")
def management(running_cloud: BackgroundCloud) -> Iterator[Management]:
    with running_cloud.management() as management:
        for version in "12":
            management.publish("ai-model", version, b"model " + version.encode())
            management.publish("labels", version, b"red\n")
        management.publish("golden-set", "1", b"pictures")
        management.publish("firmware", "7", b"of another program")
        yield management


@pytest.fixture
def fleet(
    connected: Operator, running_cloud: BackgroundCloud, management: Management, own_name: str
) -> Iterator[Fleet]:
    fleet = Fleet(connected, running_cloud, management, own_name)
    yield fleet
    for device in fleet.devices:
        device.close()


def found(run: Run) -> dict[str, str]:
    return {each["name"]: each["outcome"] for each in run.document["criteria"]}


def test_a_good_canary_goes_to_production_and_other_programs_stay(fleet: Fleet) -> None:
    fleet.serve()
    only_checked = fleet.promote("--check")
    assert (only_checked.status, only_checked.document["outcome"]) == (0, "met"), only_checked
    assert fleet.in_production()["ai-model"] == "1"
    run = fleet.promote()
    assert run.status == 0, run.output
    assert set(found(run).values()) == {"met"}
    assert run.document["outcome"] == "deployed"
    assert fleet.in_production() == {**NEW, "firmware": "7"}
    again = fleet.promote()
    assert (again.status, again.document["outcome"]) == (0, "unchanged")


def test_what_is_promoted_is_signed(fleet: Fleet) -> None:
    fleet.serve()
    folder = fleet.operator.folder
    create_key(folder / "release.key.pem", None)
    signing = ("--signing-key", str(folder / "release.key.pem"), "--signing-folder", str(folder))
    refused = fleet.promote(*signing)
    assert refused.status == 2
    assert "publish it again" in refused.error
    project = fleet.management.project
    PublishRecord(folder).add(
        Recorded.of(project, package, "2", content)
        for package, content in (("ai-model", b"model 2"), ("labels", b"red\n"))
    )
    run = fleet.promote(*signing)
    assert run.status == 0, run.error
    number = run.document["signature"]["number"]
    assert fleet.in_production() == {**NEW, "firmware": "7", "release-signature": str(number)}


@pytest.mark.parametrize(
    ("figures", "criterion"),
    [
        ({"accuracy": 0.7}, "accuracy"),
        ({"confidence": 0.7}, "confidence"),
        ({"errors": 60}, "errors"),
        ({"dropped": 90}, "dropped frames"),
        ({"p95": 40.0}, "latency p95"),
    ],
)
def test_a_worse_canary_is_refused(fleet: Fleet, figures: dict[str, Any], criterion: str) -> None:
    fleet.serve(**figures)
    run = fleet.promote()
    assert run.status == 1
    assert {name for name, outcome in found(run).items() if outcome != "met"} == {criterion}
    assert found(run)[criterion] == "failed"
    assert fleet.in_production()["ai-model"] == "1"


def test_a_canary_that_one_device_took_back_is_refused_even_if_it_serves_it_now(
    fleet: Fleet,
) -> None:
    fleet.serve()
    fleet.devices[0].reports("ai-model", "2", *TAKEN_BACK)
    run = fleet.promote()
    assert (run.status, found(run)["rolled back or refused"]) == (1, "failed")
    fleet.devices[1].runs("release-of-1", {"ai-model": "1", "labels": "1"}, error="too-slow")
    (said,) = (
        each["figure"]
        for each in fleet.promote().document["criteria"]
        if each["name"] == "rolled back or refused"
    )
    assert f"{fleet.name}-1 refused: too-slow: in words" in said
    assert f"{fleet.name}-0 ai-model 2" in said


def at_the_second_look(
    monkeypatch: pytest.MonkeyPatch, happen: Callable[[], None]
) -> Iterator[int]:
    """Let something happen while a promotion waits; returns what counts its looks, from 1 on."""
    looks, look = itertools.count(1), Promotion.look

    def looking(promotion: Promotion) -> Evidence:
        if next(looks) == 2:
            happen()
        return look(promotion)

    monkeypatch.setattr(Promotion, "look", looking)
    return looks


def test_it_waits_for_what_is_not_met_yet(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.serve()
    fleet.devices[0].runs("release-of-2", NEW, state="confirming")
    assert found(fleet.promote("--check"))["devices"] == "not yet"
    run = fleet.promote("--timeout-minutes", "0")
    assert (run.status, run.document["outcome"]) == (1, "not yet")

    looks = at_the_second_look(monkeypatch, lambda: fleet.devices[0].runs("release-of-2", NEW))
    run = fleet.promote_patiently()
    assert next(looks) == 3
    assert (run.status, run.document["outcome"]) == (0, "deployed")


def test_an_outage_while_it_waits_is_waited_out(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.serve()
    fleet.devices[0].runs("release-of-2", NEW, state="confirming")

    def outage() -> None:
        fleet.devices[0].runs("release-of-2", NEW)
        raise Unreachable("GET devices", "no answer")

    looks = at_the_second_look(monkeypatch, outage)
    run = fleet.promote_patiently()
    assert (run.status, run.document["outcome"]) == (0, "deployed")
    assert next(looks) == 4


def test_another_deployment_meanwhile_ends_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_second_look(monkeypatch, lambda: fleet.deploy(fleet.canary, "1"))
    run = fleet.promote_patiently()
    assert run.status == 1
    assert "given something else meanwhile" in run.error
    assert fleet.in_production()["ai-model"] == "1"


def test_where_production_measured_nothing_the_canary_is_compared_with_itself(
    fleet: Fleet,
) -> None:
    silent = fleet.management.create_cohort(f"{fleet.name}-silent")
    fleet.deploy(silent, "1")
    for device in fleet.devices:
        device.runs("release-of-2", NEW)
    run = fleet.promote("--to", silent, "--check")
    assert found(run)["confidence"] == "not yet"
    for i, device in enumerate(fleet.devices):
        stream(fleet.cloud, device.id, METRICS_PATH, minutes(40, seed=i, first=500))
    fleet.deploy(fleet.canary, "2")
    fleet.serve(accuracy=None)
    run = fleet.promote("--to", silent, "--check")
    assert run.status == 0, run.output
    assert found(run)["accuracy"] == "skipped"
    (figure,) = (
        each["figure"] for each in run.document["criteria"] if each["name"] == "confidence"
    )
    assert f"in {fleet.name}-canary" in figure


def test_people_read_a_table_and_what_is_missing(fleet: Fleet) -> None:
    fleet.serve(accuracy=0.7)
    run = fleet.operator.edgeferry(
        "promote", "--from", f"{fleet.name}-canary", "--to", f"{fleet.name}-production", "--check"
    )
    assert run.status == 1
    assert "ai-model  1       2      changes" in run.output
    assert "not promoted: not met yet: observed, accuracy" in run.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "typo"), "no cohort typo"),
        (("--to", "CANARY"), "can't be promoted to itself"),
        (("--from", "EMPTY"), "was given nothing yet"),
    ],
)
def test_what_cannot_be_promoted_is_refused(
    fleet: Fleet, options: tuple[str, str], said: str
) -> None:
    empty = fleet.management.create_cohort(f"{fleet.name}-empty")
    names = {"CANARY": fleet.canary, "EMPTY": empty}
    run = fleet.promote(options[0], names.get(options[1], options[1]))
    assert run.status == 2
    assert said in run.error
