"""Keys, errors and paging of the management API, over HTTP."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from localcloud.settings import CloudSettings
from tests.localcloud.conftest import SETTINGS
from tests.support.cloud import Bench, Operator, http_client


def _assert_error(answer: httpx.Response, status: int, code: int, part: str) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"code", "message", "details"}
    assert (body["code"], body["details"]) == (code, [])
    assert part in body["message"]


async def test_a_request_without_a_key_is_unauthenticated(bench: Bench) -> None:
    async with http_client(bench.cloud.http_url) as stranger:
        answer = await stranger.get("/v1/projects")
    _assert_error(answer, 401, 16, "no API key")


async def test_a_wrong_key_is_unauthenticated(bench: Bench) -> None:
    headers = {"x-api-key": bench.cloud.api_key[:-1] + "!"}
    async with http_client(bench.cloud.http_url, headers) as stranger:
        answer = await stranger.get("/v1/projects")
    _assert_error(answer, 401, 16, "unknown")


async def test_the_key_works_as_a_bearer_token_too(bench: Bench) -> None:
    headers = {"Authorization": f"bearer {bench.cloud.api_key}"}
    async with http_client(bench.cloud.http_url, headers) as client:
        answer = await client.get("/v1/projects/warehouse")
    project = answer.json()["data"]
    assert (project["id"], project["name"], project["organizationId"]) == (
        "warehouse",
        "Warehouse",
        "acme",
    )


async def test_a_key_is_of_no_use_for_another_project(bench: Bench, operator: Operator) -> None:
    other = bench.other_operator("Elsewhere")
    device = await other.device("camera-1")
    for path in (
        "/projects/elsewhere",
        "/projects/elsewhere/devices",
        f"/projects/elsewhere/devices/{device.id}",
        "/organizations/acme/projects/elsewhere/cohorts",
        "/projects/no-such-project/devices",
    ):
        _assert_error(await operator.http.get(path), 403, 7, "belongs to project 'warehouse'")
    upload = {"projectId": "elsewhere", "package": "main", "version": "1", "content": ""}
    _assert_error(await operator.http.post("/artifacts", json=upload), 403, 7, "elsewhere")


async def test_a_device_of_another_project_is_not_found(bench: Bench, operator: Operator) -> None:
    device = await bench.other_operator("Elsewhere").device("camera-1")
    answer = await operator.http.get(f"{operator.project}/devices/{device.id}")
    _assert_error(answer, 404, 5, "device not found")


async def test_the_organization_in_the_path_must_own_the_project(operator: Operator) -> None:
    answer = await operator.http.get("/organizations/others/projects/warehouse/cohorts")
    _assert_error(answer, 404, 5, "organization")


async def test_listing_projects_gives_the_one_of_the_key(bench: Bench, operator: Operator) -> None:
    bench.other_operator("Elsewhere")
    listed = await operator.call("GET", "/projects")
    assert [project["id"] for project in listed["list"]] == ["warehouse"]
    assert listed["total"] == 1


async def test_a_project_key_can_not_make_or_delete_projects(operator: Operator) -> None:
    made = await operator.http.post("/projects", json={"name": "More", "organizationId": "acme"})
    _assert_error(made, 403, 7, "--project")
    _assert_error(await operator.http.delete("/projects/warehouse"), 403, 7, "delete")


async def test_a_project_is_renamed_and_keeps_its_id(operator: Operator) -> None:
    renamed = await operator.call("PUT", "/projects/warehouse", {"name": "Big warehouse"})
    assert (renamed["data"]["id"], renamed["data"]["name"]) == ("warehouse", "Big warehouse")


async def test_the_organization_is_readable(operator: Operator) -> None:
    assert (await operator.call("GET", "/organizations"))["list"][0]["id"] == "acme"
    assert (await operator.call("GET", "/organizations/acme"))["data"]["name"] == "Acme"
    _assert_error(await operator.http.get("/organizations/other"), 404, 5, "organization")


async def test_a_new_key_works_until_it_is_deleted(bench: Bench, operator: Operator) -> None:
    path = f"{operator.project}/apikeys"
    made = (await operator.call("POST", path, {"name": "robot"}))["data"]
    listed = (await operator.call("GET", path))["list"]
    assert made["id"] in [key["id"] for key in listed]
    assert all("key" not in key for key in listed), "secrets are shown once only"
    headers = {"x-api-key": made["key"]}
    async with http_client(bench.cloud.http_url, headers) as robot:
        assert (await robot.get("/v1/projects")).status_code == 200
        itself = await robot.delete(f"/v1{path}/{made['id']}")
        _assert_error(itself, 403, 7, "itself")
        await operator.call("DELETE", f"{path}/{made['id']}")
        _assert_error(await robot.get("/v1/projects"), 401, 16, "unknown")


async def test_secrets_are_not_in_the_database_in_the_clear(bench: Bench) -> None:
    folder = bench.cloud.api_key_file.parent
    stored = b"".join(path.read_bytes() for path in folder.glob("cloud.db*"))
    assert bench.cloud.api_key.encode() not in stored
    assert oct(bench.cloud.api_key_file.stat().st_mode & 0o777) == "0o600"
    assert bench.cloud.api_key_file.read_text().strip() == bench.cloud.api_key


async def test_an_unknown_path_and_method_have_the_error_shape(operator: Operator) -> None:
    _assert_error(await operator.http.get("/nothing/here"), 404, 5, "/v1/nothing/here")
    _assert_error(await operator.http.put("/projects"), 501, 12, "PUT /v1/projects")


async def test_a_malformed_id_is_named_in_the_words_the_official_client_knows(
    operator: Operator,
) -> None:
    for path in ("devices/17", "artifacts/zz", "certificates/" + "A" * 24):
        answer = await operator.http.get(f"{operator.project}/{path}")
        _assert_error(answer, 400, 3, "hex string is not a valid ObjectID")


async def test_a_malformed_body_is_an_invalid_argument(operator: Operator) -> None:
    headers = {"content-type": "application/json"}
    for body in (b"", b"{", b"[1]", b'{"name": 7}', b"\xff"):
        path = f"{operator.project}/devices"
        _assert_error(await operator.http.post(path, content=body, headers=headers), 400, 3, ":")


async def test_lists_come_in_pages_counted_from_zero(operator: Operator) -> None:
    for number in range(5):
        await operator.device(f"camera-{number}")
    answers = [
        await operator.call("GET", f"{operator.project}/devices?page={page}&perPage=2")
        for page in range(4)
    ]
    names = [[device["name"] for device in answer["list"]] for answer in answers]
    assert names == [["camera-0", "camera-1"], ["camera-2", "camera-3"], ["camera-4"], []]
    assert all((answer["perPage"], answer["total"]) == (2, 5) for answer in answers)
    assert [answer["page"] for answer in answers] == [0, 1, 2, 3]


async def test_impossible_pages_are_refused(operator: Operator) -> None:
    for query in ("perPage=0", "perPage=101", "page=-1", "page=x", "page=99999999999999999999"):
        answer = await operator.http.get(f"{operator.project}/devices?{query}")
        _assert_error(answer, 400, 3, query.split("=")[0])


class TestSmallUploads:
    @pytest.fixture
    def settings(self) -> CloudSettings:
        return replace(SETTINGS, max_artifact_bytes=1000)

    async def test_a_larger_artifact_is_refused(self, operator: Operator) -> None:
        assert (await operator.upload("main", "1", bytes(1000)))["size"] == "1000"
        with pytest.raises(AssertionError, match="1001 bytes are more than the 1000 accepted"):
            await operator.upload("main", "2", bytes(1001))

    async def test_a_body_far_too_large_is_cut_off(self, operator: Operator) -> None:
        answer = await operator.http.post("/artifacts", content=bytes(200_000))
        _assert_error(answer, 413, 8, "larger than")

    async def test_strangers_may_not_fill_the_memory(self, bench: Bench) -> None:
        async with http_client(bench.cloud.http_url) as stranger:
            answer = await stranger.post("/v1/artifacts", content=bytes(65_537))
        _assert_error(answer, 413, 8, "larger than 65536")
