"""``edgeferry fleet``: the judgement as a table, and the command against a real local cloud."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from provisioning.commands import fleet as command
from provisioning.commands import looks as outages
from provisioning.errors import Unreachable
from provisioning.fleet_view import DeviceView, FleetView, view_of
from provisioning.metrics import METRICS_PATH
from provisioning.resources import Device
from tests.support.provisioning import BackgroundCloud, Operator
from tests.support.telemetry import metrics, stream

PACKAGES = ("ai-model", "labels", "model-settings", "golden-set")
WANTED = {"ai-model": "2", "labels": "2", "ai-model-delta": "0" * 16, "firmware": "7"}
NEW, OLD = {"ai-model": "2", "labels": "2"}, {"ai-model": "1", "labels": "1"}
EARLIER, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def device(**fields: Any) -> Device:
    record = {"id": "d", "name": "camera", "cohortId": "c", "metadata": {"lastSeenOnline": LATER}}
    return Device.model_validate({**record, **fields})


def told(state: str, versions: dict[str, str], reason: str | None = None) -> dict[str, Any]:
    error = {"release": "r", "reason": reason, "detail": "in words"} if reason else None
    return {"state": state, "active": {"id": "a", "versions": versions}, "last_error": error}


@pytest.mark.parametrize(
    ("document", "status", "why"),
    [
        (told("idle", NEW), "current", ""),
        (told("idle", NEW, "link-lost"), "current", ""),
        (told("confirming", NEW), "updating", "confirming"),
        (told("downloading", OLD), "updating", "downloading"),
        (told("awaiting-retry", OLD, "disk-full"), "failing", "disk-full: in words"),
        (told("idle", OLD, "too-slow"), "refused", "too-slow: in words"),
        (
            told("idle", OLD, "commit-window-failed"),
            "rolled back",
            "commit-window-failed: in words",
        ),
        (told("idle", {**NEW, "golden-set": "1"}, "too-slow"), "refused", "too-slow: in words"),
        (told("idle", OLD), "stale", "has not begun with what its cohort was given"),
        (None, "stale", "has reported nothing"),
        ({"state": 7}, "stale", "has reported nothing"),
        (["nonsense"], "stale", "has reported nothing"),
    ],
)
def test_a_device_is_judged_by_what_it_tells(document: Any, status: str, why: str) -> None:
    view = view_of(device(), document, WANTED, PACKAGES)
    assert (view.status, view.why) == (status, why)
    assert view.wanted == NEW


@pytest.mark.parametrize(
    ("record", "wanted", "status"),
    [
        ({"enabled": False}, WANTED, "disabled"),
        ({"metadata": {}}, WANTED, "awaited"),
        ({}, {}, "idle"),
        ({"cohortId": None}, {}, "idle"),
    ],
)
def test_a_device_is_judged_by_its_record_first(
    record: dict[str, Any], wanted: dict[str, str], status: str
) -> None:
    assert view_of(device(**record), told("idle", OLD), wanted, PACKAGES).status == status


def test_without_a_state_document_the_reports_count() -> None:
    def reporting(version: str, reason_code: int) -> Device:
        report = {"version": version, "reasonCode": str(reason_code), "reason": "in words"}
        updates = {name: {"package": name, **report} for name in NEW}
        return device(metadata={"lastSeenOnline": LATER, "update": updates})

    assert view_of(reporting("2", 0), None, WANTED, PACKAGES).status == "current"
    failing = view_of(reporting("1", 8), None, WANTED, PACKAGES)
    assert (failing.status, failing.why) == ("failing", "ai-model: in words")


@pytest.mark.parametrize(("offline", "online"), [(None, True), (EARLIER, True), (LATER, False)])
def test_a_device_is_online_unless_it_left_after_it_came(
    offline: datetime | None, online: bool
) -> None:
    metadata = {"lastSeenOnline": LATER, "lastSeenOffline": offline}
    assert view_of(device(metadata=metadata), None, {}, PACKAGES).online is online


def test_the_command_shows_the_devices_of_a_cohort(
    connected: Operator, running_cloud: BackgroundCloud
) -> None:
    with running_cloud.management() as management:
        cohort = management.create_cohort("looked-at")
        artifacts = [management.publish(name, "2", name.encode()) for name in NEW]
        management.deploy(cohort, "second", [artifact.id for artifact in artifacts])
        made = management.create_device("looked-at-1", cohort_id=cohort)
        management.create_device("elsewhere")
    drift = {"psi": 0.31, "baseline_frames": 1000}
    stream(running_cloud, made.id, METRICS_PATH, [metrics(1, drift=drift), metrics(2, frames=600)])
    run = connected.edgeferry("fleet", "--cohort", "looked-at", "--json")
    assert run.status == 0, run.error
    (shown,) = run.document["devices"]
    assert (shown["id"], shown["status"], shown["wanted"]) == (made.id, "awaited", NEW)
    assert run.document["summary"] == {"awaited": 1, "offline": 1}
    measured = shown["metrics"]
    assert (measured["frames_per_minute"], measured["drift"]) == (1200, 0.31)
    assert measured["confidence"] == pytest.approx(0.9)
    table = connected.edgeferry("fleet", COLUMNS="80").output
    assert "never connected" in table
    assert "elsewhere" in table
    assert max(map(len, table.splitlines())) <= 80
    wide = connected.edgeferry("fleet", COLUMNS="140").output
    assert "1200        0.90        0.31   never connected" in wide
    assert "no cohort typo" in connected.edgeferry("fleet", "--cohort", "typo").error


def test_watched_it_says_what_changes_over_an_outage_until_ctrl_c(
    connected: Operator,
    running_cloud: BackgroundCloud,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen, looks = FleetView.look, 0

    def look(view: FleetView) -> list[DeviceView]:
        nonlocal looks
        looks += 1
        if looks in {2, 3}:
            raise Unreachable("GET devices", "nobody answers")
        return seen(view)

    with running_cloud.management() as management:
        cohort = management.create_cohort("watched")

        def between_looks(seconds: float) -> None:
            assert seconds == 2
            if looks == 3:
                management.create_device("watched-1", cohort_id=cohort)
            if looks >= 4:
                raise KeyboardInterrupt

        monkeypatch.setattr(FleetView, "look", look)
        monkeypatch.setattr(command, "time", SimpleNamespace(sleep=between_looks))
        watching = ("fleet", "--cohort", "watched", "--watch", "--every", "2")
        run = connected.edgeferry(*watching, "--json")
        assert run.status == 0, run.error
        summaries = [json.loads(line)["summary"] for line in run.output.splitlines()]
        assert summaries == [{"offline": 0}] * 3 + [{"awaited": 1, "offline": 1}]
        assert [
            record.getMessage() for record in caplog.records if record.name == outages.__name__
        ] == [
            "nothing new is known for now, still waiting: GET devices: nobody answers",
            "the cloud answers again",
        ]
        assert "watched-1" in connected.edgeferry(*watching).output
