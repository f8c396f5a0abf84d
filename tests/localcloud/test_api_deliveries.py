"""Packages, artifacts, cohorts, deployments, device state, events and logs over HTTP."""

from __future__ import annotations

import base64
import hashlib
import re

from tests.support.cloud import Bench, Operator

MODEL = bytes(range(256)) * 10


async def test_a_package_lives_its_life(operator: Operator) -> None:
    path = f"{operator.owned}/packages"
    body = {"packageId": "ai-model", "description": "sees fruit", "metadata": {"team": "vision"}}
    made = (await operator.call("POST", path, body))["data"]
    assert {key: made[key] for key in body} == body
    assert (await operator.http.post(path, json=body)).status_code == 409
    changed = await operator.call("PUT", f"{path}/ai-model", {"description": "sees more"})
    assert changed["data"]["description"] == "sees more"
    assert changed["data"]["metadata"] == {"team": "vision"}
    assert [p["packageId"] for p in (await operator.call("GET", path))["list"]] == ["ai-model"]
    for change in ({"description": "x" * 4097}, {"metadata": {"x" * 256: ""}}):
        assert (await operator.http.put(f"{path}/ai-model", json=change)).status_code == 400
    assert await operator.call("DELETE", f"{path}/ai-model") == {}
    answer = await operator.http.get(f"{path}/ai-model")
    assert (answer.status_code, answer.json()["message"]) == (404, "package not found: ai-model")


async def test_an_artifact_is_known_by_its_bytes(operator: Operator) -> None:
    artifact = await operator.upload("ai-model", "1.2.4", MODEL)
    assert re.fullmatch(r"[0-9a-f]{24}", artifact["id"])
    assert (artifact["package"], artifact["version"]) == ("ai-model", "1.2.4")
    assert artifact["size"] == str(len(MODEL))
    assert artifact["binaryInfo"] == {
        "type": "default",
        "size": len(MODEL),
        "digests": {"sha256": {"digest": hashlib.sha256(MODEL).hexdigest()}},
    }
    path = f"{operator.project}/artifacts"
    assert (await operator.call("GET", f"{path}/{artifact['id']}"))["data"] == artifact
    packages = (await operator.call("GET", f"{operator.owned}/packages"))["list"]
    assert [package["packageId"] for package in packages] == ["ai-model"], "made on demand"


async def test_an_mcuboot_image_is_recognised(operator: Operator) -> None:
    image = bytes.fromhex("3db8f396") + bytes(60)
    assert (await operator.upload("main", "1", image))["binaryInfo"]["type"] == "mcuboot"


async def test_artifacts_are_found_by_package_version_and_id(operator: Operator) -> None:
    one = await operator.upload("ai-model", "1", b"1")
    two = await operator.upload("ai-model", "2", b"2")
    three = await operator.upload("labels", "1", b"3")

    async def found(**query: object) -> list[str]:
        answer = await operator.http.get(f"{operator.project}/artifacts", params=query)  # type: ignore[arg-type]
        return [artifact["id"] for artifact in answer.json()["list"]]

    assert await found(package="ai-model") == [one["id"], two["id"]]
    assert await found(version="1") == [one["id"], three["id"]]
    assert await found(ids=[two["id"], three["id"]]) == [two["id"], three["id"]]


IMPOSSIBLE_ARTIFACTS = [
    ("ai-model", "1", "AAAA", 409, "artifact already exists"),
    ("a/b", "1", "AAAA", 400, "package"),
    ("a@b", "1", "AAAA", 400, "package"),
    ("main", "1/2", "AAAA", 400, "version"),
    ("main", "", "AAAA", 400, "version"),
    ("main", "2", "not base64!", 400, "content: not base64"),
    ("main", "2", None, 400, "content"),
]


async def test_an_artifact_that_can_not_be_is_refused(operator: Operator) -> None:
    await operator.upload("ai-model", "1", MODEL)
    for package, version, content, status, part in IMPOSSIBLE_ARTIFACTS:
        body = {"projectId": "warehouse", "package": package, "version": version}
        answer = await operator.http.post("/artifacts", json={**body, "content": content})
        assert (answer.status_code, part in answer.json()["message"]) == (status, True), answer.text
    assert (await operator.call("GET", f"{operator.project}/artifacts"))["total"] == 1


async def test_url_safe_base64_without_padding_is_understood(operator: Operator) -> None:
    content = base64.urlsafe_b64encode(b"\xfb\xff\xfe?").decode().rstrip("=")
    body = {"projectId": "warehouse", "package": "main", "version": "1", "content": content}
    assert (await operator.call("POST", "/artifacts", body))["data"]["size"] == "4"


async def test_the_same_bytes_are_kept_once_and_until_the_last_use(
    bench: Bench, operator: Operator
) -> None:
    one = await operator.upload("ai-model", "1", MODEL)
    two = await operator.upload("ai-model", "2", MODEL)
    folder = bench.cloud.api_key_file.parent / "artifacts"
    assert len(list(folder.iterdir())) == 1
    await operator.call("DELETE", f"{operator.project}/artifacts/{one['id']}")
    assert len(list(folder.iterdir())) == 1
    await operator.call("DELETE", f"{operator.project}/artifacts/{two['id']}")
    assert list(folder.iterdir()) == []


async def test_a_deployed_artifact_can_not_be_deleted(operator: Operator) -> None:
    artifact = await operator.upload("ai-model", "1", MODEL)
    cohort = await operator.cohort("bench")
    await operator.deploy(cohort, artifact["id"])
    path = f"{operator.project}/artifacts/{artifact['id']}"
    answer = await operator.http.delete(path)
    assert (answer.status_code, answer.json()["code"]) == (400, 9)
    assert "artifact in use" in answer.json()["message"]
    await operator.call("DELETE", f"{operator.owned}/cohorts/{cohort}")
    assert await operator.call("DELETE", path) == {}


async def test_a_cohort_lives_its_life(operator: Operator) -> None:
    path = f"{operator.owned}/cohorts"
    made = (await operator.call("POST", path, {"name": "Test Bench"}))["data"]
    assert (made["cohortId"], made["name"], made["deviceCount"]) == ("test-bench", "Test Bench", 0)
    assert "activeDeploymentId" not in made
    device = await operator.device("dev1", "test-bench")
    counted = (await operator.call("PUT", f"{path}/test-bench", {"name": "Bench"}))["data"]
    assert (counted["cohortId"], counted["name"], counted["deviceCount"]) == (
        "test-bench",
        "Bench",
        1,
    )
    assert (await operator.http.post(path, json={"name": "test bench"})).status_code == 409
    assert await operator.call("DELETE", f"{path}/test-bench") == {}
    again = await operator.http.delete(f"{path}/test-bench")
    assert "cohort not found" in again.json()["message"]
    shown = await operator.call("GET", f"{operator.project}/devices/{device.id}")
    assert "cohortId" not in shown["data"]


async def test_deployments_are_a_history_with_the_newest_on_top(operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    one = await operator.upload("ai-model", "1", b"1")
    labels = await operator.upload("labels", "1", b"l")
    two = await operator.upload("ai-model", "2", b"2")
    first = await operator.deploy(cohort, one["id"], labels["id"], name="first")
    second = await operator.deploy(cohort, two["id"], labels["id"], name="second")
    path = f"{operator.owned}/cohorts/{cohort}"
    listed = await operator.call("GET", f"{path}/deployments")
    assert [d["deploymentId"] for d in listed["list"]] == [
        second["deploymentId"],
        first["deploymentId"],
    ]
    assert first["artifactIds"] == [one["id"], labels["id"]]
    assert set(first) == {"deploymentId", "name", "artifactIds", "createdAt"}
    named = await operator.call("GET", f"{path}/deployments?name=first")
    assert [d["name"] for d in named["list"]] == ["first"]
    shown = await operator.call("GET", f"{path}/deployments/{first['deploymentId']}")
    assert shown["data"] == first
    active = (await operator.call("GET", path))["data"]["activeDeploymentId"]
    assert active == second["deploymentId"]


async def test_a_deployment_that_can_not_be_is_refused(operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    one = await operator.upload("ai-model", "1", b"1")
    two = await operator.upload("ai-model", "2", b"2")
    path = f"{operator.owned}/cohorts/{cohort}/deployments"
    twice = await operator.http.post(path, json={"artifactIds": [one["id"], two["id"]]})
    assert (twice.status_code, "listed twice" in twice.json()["message"]) == (400, True)
    missing = await operator.http.post(path, json={"artifactIds": ["0" * 24]})
    assert missing.status_code == 404
    nowhere = path.replace(cohort, "nowhere")
    assert (await operator.http.post(nowhere, json={"artifactIds": []})).status_code == 404
    assert (await operator.call("GET", path))["total"] == 0


async def test_device_state_merges_and_deletes(operator: Operator) -> None:
    device = await operator.device("dev1")
    root = f"{operator.project}/devices/{device.id}/data"
    await operator.call("POST", f"{root}/config/camera", {"fps": 10, "name": "left"})
    await operator.call("PUT", f"{root}/config/camera", {"fps": 30})
    await operator.call("PATCH", f"{root}/alert", True)
    whole = {"config": {"camera": {"fps": 30, "name": "left"}}, "alert": True}
    assert (await operator.call("GET", root))["data"] == whole
    assert (await operator.call("GET", f"{root}/config/camera/fps"))["data"] == 30
    assert (await operator.call("GET", f"{root}/config/none/at/all"))["data"] is None
    assert await operator.call("DELETE", f"{root}/config/camera") == {}
    assert (await operator.call("GET", root))["data"] == {"config": {}, "alert": True}
    assert await operator.call("DELETE", root) == {}
    assert (await operator.call("GET", root))["data"] == {}


async def test_state_that_can_not_be_is_refused(operator: Operator) -> None:
    device = await operator.device("dev1")
    root = f"{operator.project}/devices/{device.id}/data"
    deep = "/".join("x" * 40)
    for path, body, part in [
        (root, b"7", "root of the device state must be an object"),
        (f"{root}/a", b"{", "not valid JSON"),
        (f"{root}/a", b"NaN", "no JSON value"),
        (f"{root}/{deep}", b"1", "levels deep"),
        (f"{root}/a", b'"' + b"x" * 300_000 + b'"', "bytes"),
    ]:
        answer = await operator.http.post(path, content=body)
        assert answer.status_code == 400, answer.text
        assert part in answer.json()["message"]
    assert (await operator.call("GET", root))["data"] == {}


async def test_events_and_logs_answer_with_the_documented_shape(operator: Operator) -> None:
    events = await operator.call("GET", f"{operator.owned}/ota-events?limit=10")
    assert events == {"list": [], "nextPageToken": "", "prevPageToken": ""}
    logs = await operator.call("GET", f"{operator.project}/logs")
    assert logs == {"list": [], "page": 0, "perPage": 100, "total": 0}


async def test_event_counts_cover_the_time_asked_for_and_no_more(operator: Operator) -> None:
    path = f"{operator.owned}/ota-events/stats"
    for start, end, limit, parts in [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:25Z", 24, 13),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z", 24, 5),
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 7, 7),
    ]:
        query = {"startTime": start, "endTime": end, "limit": str(limit)}
        answer = await operator.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        stretches = [stretch["timestamp"] for stretch in answer.json()["list"]]
        assert len(stretches) == parts
        assert max(stretches) < answer.json()["endTime"]
        assert min(stretches) == answer.json()["startTime"]


async def test_impossible_event_queries_are_refused(operator: Operator) -> None:
    for query in ("limit=0", "limit=x", "pageToken=none", "startTime=yesterday", "status=-1"):
        answer = await operator.http.get(f"{operator.owned}/ota-events?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, 3), query
