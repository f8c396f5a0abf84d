"""``edgeferry compare`` against a real local cloud with what devices streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from provisioning.management import Management
from provisioning.metrics import METRICS_PATH
from tests.support.provisioning import BackgroundCloud, Operator, Run
from tests.support.telemetry import minutes, stream

Compare = Callable[..., Run]
DEVICES, MINUTES = 3, 40


@pytest.fixture(scope="module")
def management(running_cloud: BackgroundCloud) -> Iterator[Management]:
    """Cohorts ``old`` and ``new`` that each run a version; both were with version 1 before."""
    with running_cloud.management() as management:
        for version in "12":
            management.publish("ai-model", version, b"model " + version.encode())
            management.publish("labels", version, b"red\n")
        known = {(a.package, a.version): a.id for a in management.artifacts()}
        for name in ("old", "new"):
            cohort = management.create_cohort(name)
            devices = [
                management.create_device(f"{name}-{i}", cohort_id=cohort).id for i in range(DEVICES)
            ]
            for i, device in enumerate(devices):
                before = minutes(MINUTES, seed=i, accuracy=0.9)
                stream(running_cloud, device, METRICS_PATH, before)
            version, accuracy = ("1", 0.9) if name == "old" else ("2", 0.99)
            ids = [known[package, version] for package in ("ai-model", "labels")]
            management.deploy(cohort, "", ids)
            for i, device in enumerate(devices):
                after = minutes(MINUTES, seed=9 + i, first=1000, accuracy=accuracy, version=version)
                stream(running_cloud, device, METRICS_PATH, after)
        # Of a device that was taken back to the release before.
        stream(running_cloud, devices[0], METRICS_PATH, minutes(2, seed=1, first=2000, version="1"))
        management.create_cohort("idle")
        yield management


@pytest.fixture
def compare(connected: Operator, management: Management) -> Compare:

    def run(*options: str) -> Run:
        return connected.edgeferry("compare", *options)

    return run


def test_two_cohorts_are_compared_on_what_they_were_given(compare: Compare) -> None:
    run = compare("--cohorts", "old", "new", "--json")
    assert run.status == 0, run.error
    found = run.document
    # From when both had their release: of "old" nothing arrived since.
    assert (found["a"]["versions"], found["b"]["versions"]) == ([], ["2"])
    assert (found["a"]["frames"], found["b"]["devices"]) == (0, DEVICES)
    long_ago = compare("--cohorts", "old", "new", "--since", "2026-01-01", "--json").document
    assert long_ago["a"]["frames"] == DEVICES * 2 * MINUTES * 1800
    accuracy = long_ago["measures"][0]
    assert (accuracy["measure"], accuracy["verdict"], accuracy["better"]) == (
        "accuracy",
        "higher",
        "b",
    )
    assert 0.02 < accuracy["low"] < accuracy["difference"] < accuracy["high"] < 0.16
    assert (accuracy["units"], accuracy["units_b"], accuracy["pairs"]) == ("devices", DEVICES, 0)
    assert accuracy["pictures_b"] == DEVICES * MINUTES * 60
    assert long_ago["verdict"].startswith("B is more accurate: +")


@pytest.mark.parametrize("names", [("1", "2"), ("release-of-1", "release-of-2")])
def test_two_releases_are_compared_on_the_devices_that_ran_them(
    compare: Compare, names: tuple[str, str]
) -> None:
    run = compare("--releases", *names, "--cohort", "new")
    assert run.status == 0, run.error
    assert "counted: devices, the same ones on both sides" in run.output
    assert "B is more accurate: +" in run.output
    assert f"{DEVICES * MINUTES * 1800:,} frames" in run.output
    assert max(map(len, run.output.splitlines()[:-2])) <= 80


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "give --releases A B, or --cohorts A B"),
        (("--releases", "1", "2", "--cohorts", "old", "new"), "give --releases A B"),
        (("--cohorts", "old", "new", "--cohort", "old"), "--cohort narrows --releases"),
        (("--cohorts", "old", "old"), "are one cohort"),
        (("--cohorts", "old", "idle"), "idle was given nothing yet"),
        (("--cohorts", "old", "typo"), "no cohort typo"),
        (("--releases", "1", "7"), "no device measured a release 7"),
        (("--releases", "1", "7"), "1 (release-of-1), 2 (release-of-2)"),
        (("--releases", "1", "release"), "release-of-1 or release-of-2"),
        (("--releases", "1", "2", "--since", "2026-02-02", "--until", "2026-02-01"), "before"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    compare: Compare, options: tuple[str, ...], said: str
) -> None:
    run = compare(*options)
    assert run.status == 2
    assert said in run.error


def test_a_time_without_metrics_names_what_to_look_at(compare: Compare) -> None:
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    run = compare("--releases", "1", "2", "--since", tomorrow, "--until", "2099-01-01")
    assert run.status == 2
    assert "do the devices send metrics" in run.error
