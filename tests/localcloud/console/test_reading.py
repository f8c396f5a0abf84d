"""What the console makes of what is in the store, nonsense from devices included."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from localcloud.calls import Calls
from localcloud.changes import Changes
from localcloud.console.comparing import side
from localcloud.console.deliveries import Change, changes, history, versions_by_package
from localcloud.console.fleet import all_devices
from localcloud.console.fleet_filter import TROUBLE, FleetFilter, choices, table_row, tally
from localcloud.console.history import device_events
from localcloud.console.pictures import SAMPLES, jpeg, samples
from localcloud.console.telemetry import by_release, figures, measurements
from localcloud.console.visit import Visit
from localcloud.errors import NotFound
from localcloud.identifiers import timestamp
from localcloud.storage.schema import migrations
from localcloud.storage.store import Store
from protocol.report import OtaReason, OtaReport, OtaState
from tests.localcloud.console.conftest import NobodyIsOnline

HAS_1: Any = {"id": "r1", "versions": {"ai-model": "1"}}
HAS_2: Any = {"id": "r2", "versions": {"ai-model": "2"}}
JPEG = b"\xff\xd8\xff" + bytes(40_000)

STATUSES: list[tuple[Any, str, str]] = [
    (None, "stale", "does not report"),
    (7, "stale", "does not report"),
    ({"state": 7, "active": [], "last_error": "text"}, "stale", "does not report"),
    ({"state": "idle", "active": HAS_2}, "current", ""),
    ({"state": "idle", "active": HAS_1}, "stale", "has not begun"),
    ({"state": "downloading", "active": HAS_1}, "updating", "downloading"),
    ({"state": "confirming", "active": HAS_2}, "updating", "confirming"),
    (
        {"state": "awaiting_retry", "active": HAS_1, "last_error": {"reason": "link-lost"}},
        "failing",
        "link-lost",
    ),
    (
        {"state": "idle", "active": HAS_1, "last_error": {"reason": "hash-mismatch"}},
        "refused",
        "hash-mismatch",
    ),
    (
        {
            "state": "idle",
            "active": HAS_1,
            "last_error": {"reason": "commit-window-failed", "detail": "worse"},
        },
        "rolled back",
        "commit-window-failed: worse",
    ),
]


def _device(visit: Visit, name: str, cohort: str = "", document: Any = None) -> str:
    device = visit.store.devices.create(visit.project_id, name, cohort_id=cohort)
    visit.store.devices.record_contact(device.id, timestamp())
    if document is not None:
        visit.store.state.write(device.id, ["edgeferry"], document)
    return device.id


def _cohort_with_version_2(visit: Visit) -> str:
    store, project = visit.store, visit.project_id
    store.cohorts.create(project, "canary")
    artifact = store.artifacts.create(project, "ai-model", "2", b"model")
    store.deployments.create(project, "canary", "second", [artifact.id])
    return "canary"


@pytest.mark.parametrize(("document", "status", "why"), STATUSES)
def test_a_device_is_judged_by_what_it_says(
    visit: Visit, document: Any, status: str, why: str
) -> None:
    _device(visit, "camera-1", _cohort_with_version_2(visit), document)
    [row] = all_devices(visit)
    assert row.status == status
    assert why in row.why


def test_only_a_download_under_way_has_progress(visit: Visit) -> None:
    cohort = _cohort_with_version_2(visit)
    cases: list[tuple[dict[str, Any], float | None]] = [
        ({"target": HAS_2, "progress": {"bytes_done": 1, "bytes_total": 4}}, 0.25),
        ({"target": HAS_2, "progress": {"bytes_done": 4, "bytes_total": 4}}, None),
        ({"target": HAS_2, "progress": {"bytes_done": 5, "bytes_total": 0}}, None),
        ({"target": HAS_2, "progress": {"bytes_done": True, "bytes_total": 4}}, None),
        ({"target": None, "progress": {"bytes_done": 1, "bytes_total": 4}}, None),
    ]
    for number, (said, share) in enumerate(cases):
        _device(visit, f"camera-{number}", cohort, {"state": "downloading", **said})
        found = next(row for row in all_devices(visit) if row.name == f"camera-{number}")
        assert table_row(found)["progress"] == share, said


def test_devices_that_never_came_are_in_no_cohort_or_shut_out_are_told_apart(visit: Visit) -> None:
    store, project = visit.store, visit.project_id
    store.devices.create(project, "never")
    _device(visit, "alone")
    assert {row.name: row.status for row in all_devices(visit)} == {
        "never": "awaited",
        "alone": "idle",
    }
    store.projects.ensure("Elsewhere", "Acme")
    store.devices.create("elsewhere", "hidden")
    assert "hidden" not in [row.name for row in all_devices(visit)]


def test_filters_narrow_by_each_of_their_fields(visit: Visit) -> None:
    cohort = _cohort_with_version_2(visit)
    _device(visit, "good", cohort, {"state": "idle", "active": HAS_2})
    error = {"reason": "commit-window-failed"}
    _device(visit, "bad", cohort, {"state": "idle", "active": HAS_1, "last_error": error})
    _device(visit, "alone")
    rows = all_devices(visit)
    for wanted, names in [
        (FleetFilter(), ["bad", "alone", "good"]),
        (FleetFilter(term="GOO"), ["good"]),
        (FleetFilter(term="commit-window"), ["bad"]),
        (FleetFilter(cohort="canary"), ["bad", "good"]),
        (FleetFilter(cohort="in no cohort"), ["alone"]),
        (FleetFilter(status="current"), ["good"]),
        (FleetFilter(status=TROUBLE), ["bad"]),
        (FleetFilter(version="ai-model 1"), ["bad"]),
        (FleetFilter(link="online"), []),
        (FleetFilter(order="name", descending=True), ["good", "bad", "alone"]),
    ]:
        assert [row.name for row in wanted.apply(rows)] == names, wanted
    assert tally(rows) == {"devices": 3, "online": 0, "updating": 0, TROUBLE: 1}
    assert choices(rows).versions == ["ai-model 1", "ai-model 2"]


def test_more_devices_than_a_page_of_the_store_are_all_there(visit: Visit) -> None:
    with visit.store.atomic():
        for number in range(130):
            visit.store.devices.create(visit.project_id, f"camera-{number}")
    assert len(all_devices(visit)) == 130


def _stream(visit: Visit, device_id: str, kind: str, document: Any) -> None:
    visit.store.stream.add(visit.project_id, device_id, ("edgeferry", kind), document)


def _interval(number: int, version: str, frames: int, confidence: float, **more: Any) -> Any:
    return {
        "id": f"{version}-{number}",
        "release": "r",
        "version": version,
        "classified": frames,
        "confidence": {"sum": frames * confidence},
        "classes": {"red": frames},
        "latency_ms": {"p95": 20.0},
        **more,
    }


def test_intervals_add_up_to_figures_and_repetitions_count_once(visit: Visit) -> None:
    device = _device(visit, "camera-1")
    _stream(visit, device, "metrics", _interval(1, "1", 100, 0.5, dropped=3))
    _stream(visit, device, "metrics", _interval(1, "1", 100, 0.5, dropped=3))
    _stream(visit, device, "metrics", _interval(2, "1", 300, 0.9, drift={"psi": 0.1}))
    _stream(visit, device, "metrics", _interval(1, "2", 10, 0.8))
    nonsense: list[Any] = [None, 7, [], {"id": 1}, {"id": "x", "release": "r", "classified": -1}]
    for document in nonsense:
        _stream(visit, device, "metrics", document)
    visit.store.stream.add(visit.project_id, device, ("metrics",), _interval(9, "1", 1, 1))
    releases = by_release(measurements(visit, [device], hours=1))
    assert list(releases) == ["version 1", "version 2"]
    told = figures("version 1", releases["version 1"])
    assert (told.frames, told.dropped, told.psi, told.accuracy) == (400, 3, 0.1, None)
    assert told.confidence == pytest.approx((100 * 0.5 + 300 * 0.9) / 400)
    assert told.latency_p95_ms == pytest.approx(20)
    assert told.classes == {"red": 1.0}
    assert measurements(visit, ["0" * 24], hours=1) == []


def test_a_comparison_counts_devices_not_frames(visit: Visit) -> None:
    for name, frames, confidence in [("a", 10, 0.7), ("b", 100_000, 0.9)]:
        device = _device(visit, name)
        _stream(visit, device, "metrics", _interval(1, "1", frames, confidence))
    both = side("version 1", measurements(visit, None, hours=1))
    assert both.means["Confidence"].value == pytest.approx(0.8)
    # Two devices, standard deviation 0.1414: 1.96 * 0.1414 / sqrt(2).
    assert both.means["Confidence"].half == pytest.approx(0.196)
    assert str(both.means["Confidence"]) == "80.0 ± 19.6 %"
    assert "Accuracy" not in both.means
    alone = side("a", measurements(visit, [all_devices(visit)[0].id], hours=1))
    assert alone.means["Confidence"].half is None


def _part(number: int, data: bytes, **more: Any) -> Any:
    whole = hashlib.sha256(JPEG).hexdigest()
    encoded = base64.b64encode(data).decode()
    return {"id": "7", "part": number, "parts": 3, "sha256": whole, "data": encoded, **more}


def test_a_sample_is_shown_once_all_of_it_arrived_unharmed(visit: Visit) -> None:
    device = _device(visit, "camera-1")
    pieces = [JPEG[at : at + 16_384] for at in range(0, len(JPEG), 16_384)]
    for number in (2, 0, 0):
        _stream(visit, device, "samples", _part(number, pieces[number]))
    for nonsense in (None, {"id": "8"}, {"id": "9", "part": -1}):
        _stream(visit, device, "samples", nonsense)
    assert [picture.missing for picture in samples(visit, device)] == [1]
    with pytest.raises(NotFound):
        jpeg(visit, device, SAMPLES, "7")
    _stream(visit, device, "samples", _part(1, pieces[1][::-1] + b"x"))
    with pytest.raises(NotFound):
        jpeg(visit, device, SAMPLES, "7")
    for number in range(3):
        _stream(visit, device, "samples", _part(number, pieces[number]) | {"id": "8"})
    assert jpeg(visit, device, SAMPLES, "8") == JPEG


def test_what_is_no_picture_is_not_served_as_one(visit: Visit) -> None:
    device = _device(visit, "camera-1")
    page = base64.b64encode(b"<script>alert(1)</script>").decode()
    for data in (page, "not base64", ""):
        _stream(visit, device, "snapshot", {"id": "s1", "jpeg": data})
        with pytest.raises(NotFound):
            jpeg(visit, device, "snapshot", "s1")


def test_a_change_is_told_package_by_package() -> None:
    before, after = {"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}
    assert [(change.package, change.word) for change in changes(before, after)] == [
        ("a", "kept"),
        ("b", "changed"),
        ("c", "removed"),
        ("d", "added"),
    ]
    assert changes({}, {}) == []
    assert Change("a", "", "1").word == "added"


def test_versions_know_which_cohorts_have_them(visit: Visit) -> None:
    cohort = _cohort_with_version_2(visit)
    visit.store.artifacts.create(visit.project_id, "ai-model", "3", b"newer")
    [(name, versions)] = versions_by_package(visit).items()
    assert name == "ai-model"
    assert [(v.artifact.version, list(v.cohorts)) for v in versions] == [
        ("3", []),
        ("2", ["canary"]),
    ]
    assert [deployed.name for deployed in history(visit, cohort)] == ["second"]


def test_metrics_from_before_the_stream_had_paths_are_still_shown(tmp_path: Path) -> None:
    folder = tmp_path / "cloud"
    folder.mkdir()
    old = Database(folder / "cloud.db")
    migrations.apply(old, stop_before="stream_paths")
    now = timestamp()
    for statement in (
        f"INSERT INTO organizations VALUES ('acme', 'Acme', '{now}')",
        f"INSERT INTO projects VALUES ('p', 'P', 'acme', '{now}', '{now}', 0)",
    ):
        old.execute(statement)
    old.table("devices").insert(
        {"id": "d", "project_id": "p", "name": "c", "created_at": now, "updated_at": now}
    )
    data = json.dumps({"edgeferry": {"metrics": _interval(1, "1", 7, 0.5)}})
    for stored in (data, '{"edgeferry": {"else": {}}}', "7"):
        old.table("stream").insert(
            {"project_id": "p", "device_id": "d", "data": stored, "timestamp": now}
        )
    old.close()
    store = Store(folder, Changes())
    visit = Visit(store, NobodyIsOnline(), Calls(), "p", 0, is_open=lambda: True)
    [measured] = measurements(visit, ["d"], hours=1)
    assert measured.interval.classified == 7
    store.close()


def test_reports_of_one_step_are_told_as_one(visit: Visit) -> None:
    device = _device(visit, "camera-1")
    for state, reason, model in [
        (OtaState.DOWNLOADING, OtaReason.READY, "1"),
        (OtaState.UPDATING, OtaReason.FIRMWARE_UPDATE_FAILED, "1"),
        (OtaState.UPDATING, OtaReason.FIRMWARE_UPDATED_SUCCESSFULLY, "2"),
    ]:
        for package, version in (("ai-model", model), ("labels", "1")):
            target = {"ai-model": "2", "labels": "1"}[package] if model == "1" else None
            report = OtaReport(package, state, reason, version, target)
            visit.store.events.add(visit.project_id, device, "canary", report)
    told = [(event.what, event.tone, event.packages) for event in device_events(visit, device)]
    assert told == [
        ("updated successfully", "good", ("ai-model 2", "labels 1")),
        ("updating: firmware update failed", "bad", ("ai-model 1 → 2", "labels 1")),
        ("downloading", "busy", ("ai-model 1 → 2", "labels 1")),
    ]
