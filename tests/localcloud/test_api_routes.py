"""Every route of the management API, with the documented shape and the documented errors."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from aiocoap import POST

from localcloud.calls import Calls
from localcloud.changes import Changes
from localcloud.rest.app import build_api
from localcloud.storage.store import Store
from protocol.credentials import PskCredential
from protocol.report import OtaReason, OtaReport, OtaState, encode_report
from tests.localcloud.routes import P, filled, steps
from tests.support.cloud import Bench, Json, Operator, request
from tests.support.pki import Authority

PAGE = {"list", "page", "perPage", "total"}
STAMPS = "createdAt updatedAt"
# What each record always has, and what it may leave out when there is none.
RECORDS = {
    "project": (f"id name organizationId roles {STAMPS}", ""),
    "organization": ("id name createdAt", ""),
    "key": ("id name type keyTags createdAt", "key"),
    "certificate": ("id certType enabled demo projectId createdAt certificateContent", ""),
    "device": (
        f"id name hardwareIds tagIds enabled status metadata {STAMPS}",
        "cohortId blueprintId certificateId lastReport",
    ),
    "credential": ("id type identity preSharedKey createdAt", ""),
    "tag": (f"id name projectId {STAMPS}", ""),
    "blueprint": (f"id name projectId {STAMPS}", "boardId platform"),
    "package": (f"packageId description metadata {STAMPS}", ""),
    "artifact": (f"id package version size binaryInfo {STAMPS}", "blueprintId"),
    "cohort": (f"cohortId name deviceCount {STAMPS}", "activeDeploymentId"),
    "deployment": ("deploymentId name artifactIds createdAt", ""),
    "setting": (f"id key dataType value projectId {STAMPS}", "deviceId blueprintId"),
    "event": (
        "deviceId packageId eventType status message currentVersion targetVersion timestamp",
        "",
    ),
    "firmware log": (
        "deviceId package version target state stateCode reason reasonCode time",
        "",
    ),
    "stretch": ("timestamp duration stats", ""),
    "log": ("deviceId device_id level module message metadata type timestamp", ""),
    "entry": ("time deviceId device_id data", ""),
    "type": ("type", ""),
}


# Known to the API, and always refused: a project's key may not.
REFUSED = {("POST", "/projects"), ("DELETE", P)}


def routes(folder: Path) -> set[tuple[str, str]]:
    """Method and path of all routes, as they are registered."""
    store = Store(folder, Changes())
    try:
        described = build_api(store, Calls(), max_artifact_bytes=1).openapi()["paths"]
    finally:
        store.close()
    return {
        (method.upper(), path.removeprefix("/v1"))
        for path, methods in described.items()
        for method in methods
    }


def assert_record(kind: str, record: Json) -> None:
    always, sometimes = (set(names.split()) for names in RECORDS[kind])
    assert always <= set(record) <= always | sometimes, f"{kind}: {sorted(record)}"
    assert None not in record.values(), "what there is none of is left out"


def assert_shape(answer: str, body: Json) -> None:
    match answer.split(" ", 2):
        case ["nothing"]:
            assert body == {}
        case ["value"]:
            assert set(body) == {"data"}
        case ["provisioned"]:
            assert re.fullmatch("[0-9a-f]{24}", body["data"]["deviceId"])
        case ["late"]:
            assert set(body) == {"code", "message", "details"}
        case ["events"]:
            assert set(body) == {"list", "nextPageToken", "prevPageToken"}
            assert_each("event", body)
        case ["stats"]:
            assert set(body) == {"list", "startTime", "endTime"}
            assert_each("stretch", body)
            assert {"eventType": "DOWNLOADING", "count": 1} in body["list"][0]["stats"]
        case ["one", kind]:
            assert set(body) == {"data"}
            assert_record(kind, body["data"])
        case ["page", _, kind]:
            assert set(body) == PAGE
            assert (body["page"], body["perPage"]) == (0, 100)
            assert_each(kind, body)
        case ["list", _, kind]:
            assert set(body) == {"list", "total"}
            assert_each(kind, body)
        case _:
            pytest.fail(f"no such answer: {answer}")


def assert_each(kind: str, body: Json) -> None:
    assert body["list"], "there is one to look at"
    for record in body["list"]:
        assert_record(kind, record)


async def _report(bench: Bench, device_id: str) -> None:
    """Something to list: a report, a log line and stream data of the device."""
    path = f"{bench.operator.project}/devices/{device_id}/credentials"
    key = {"identity": "reporter", "preSharedKey": "secret"}
    made = await bench.operator.call("POST", path, key)
    link = await bench.link(PskCredential(made["data"]["identity"], b"secret"))
    report = OtaReport("ai-model", OtaState.DOWNLOADING, OtaReason.READY, "0", "1")
    await link.request(request(POST, ".u/c/ai-model", encode_report(report), content_format=60))
    await link.request(request(POST, ".s/sensor", b"1", content_format=50))
    line = b'{"level":"info","module":"m","msg":"hi"}'
    await link.request(request(POST, ".s/logs", line, content_format=50))


async def test_every_route_answers_in_its_documented_shape(
    bench: Bench, operator: Operator, authority: Authority, tmp_path: Path
) -> None:
    project = bench.cloud.project
    known = {"project_id": project.id, "organization_id": project.organization_id}
    pem = base64.b64encode(authority.bundle.read_bytes()).decode()
    played = set()
    for step in steps(pem):
        method, path = step.call.split(" ")
        answer = await operator.http.request(
            method, filled(path, known), json=filled(step.body, known)
        )
        assert answer.status_code == (504 if step.answer == "late" else 200), (step, answer.text)
        assert_shape(step.answer, answer.json())
        if step.keep:
            record = answer.json()["data"]
            known[step.keep] = record.get("id") or record[re.sub("_id$", "Id", step.keep)]
        if step.keep == "device_id":
            await _report(bench, known[step.keep])
        path = path.partition("?")[0].replace("/data/fps", "/data/{path}")
        played.add((method, path.replace("/data/a/b", "/data/{path}")))
    assert routes(tmp_path / "described") == played | REFUSED


async def test_every_route_says_what_is_not_there(
    bench: Bench, operator: Operator, tmp_path: Path
) -> None:
    """Golioth: an error is {"code", "message", "details"}, with grpc-gateway's HTTP status."""
    project = bench.cloud.project
    here = {"project_id": project.id, "organization_id": project.organization_id}
    nowhere = {"cohort_id": "nowhere", "package_id": "nothing", "path": "a"}
    for method, path in sorted(routes(tmp_path / "described")):
        missing = dict.fromkeys(re.findall(r"{(\w+)}", path), "f" * 24) | nowhere
        target = path.format(**missing | here)
        asked_for = set(re.findall(r"{(\w+)}", path)) - {"project_id", "organization_id", "path"}
        if asked_for and method in ("GET", "DELETE"):
            query = {"deviceId": "f" * 24} if path.endswith("/{credential_id}") else {}
            gone = await operator.http.request(method, target, params=query)
            assert (gone.status_code, gone.json()["code"]) == (404, 5), (method, path, gone.text)
            assert "not found" in gone.json()["message"]


WORDS = [
    ("POST /tags", {"name": "taken"}, 409, "tag name already being used"),
    ("POST /tags", {"name": "a/b"}, 400, "can use only use characters"),
    ("POST /tags", {}, 400, "needs a name"),
    ("POST /blueprints", {"name": "taken"}, 409, "blueprint name already being used"),
    ("POST /blueprints", {"name": "<b>"}, 400, "can use only use characters"),
    ("GET /tags/none", None, 400, "hex string is not a valid ObjectID"),
    ("DELETE /blueprints/none", None, 400, "hex string is not a valid ObjectID"),
    ("POST /devices", {"name": "x", "tagIds": ["0" * 24]}, 404, "tag not found"),
]


async def test_refusals_are_in_the_words_the_official_client_looks_for(operator: Operator) -> None:
    for kind in ("tags", "blueprints"):
        await operator.call("POST", f"{operator.project}/{kind}", {"name": "taken"})
    for call, body, status, part in WORDS:
        method, path = call.split(" ")
        answer = await operator.http.request(method, operator.project + path, json=body)
        assert (answer.status_code, part in answer.json()["message"]) == (status, True), answer.text
