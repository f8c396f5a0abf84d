"""Who is not entitled to something gets nothing of it and changes nothing, on every route."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from localcloud.calls import Calls
from localcloud.changes import Changes
from localcloud.rest.app import build_api
from localcloud.storage.store import Store
from tests.localcloud.routes import filled, steps
from tests.support.tenants import Tenants

WITHOUT_PROJECT = {
    "GET /projects": 200,
    "POST /projects": 403,
    "GET /organizations": 200,
    "GET /organizations/{organization_id}": 404,
    "GET /settings-data-types": 200,
    "POST /artifacts": 403,
}
"""Routes that name no project in their path, and what a key of another project gets there."""


@dataclass(frozen=True)
class Api(Tenants):
    """The management API over them. Its tests write nothing, and may share it."""

    app: FastAPI

    def routes(self) -> list[str]:
        """``METHOD /path`` of every route the application has, described in public or not."""

        def walk(found: Any) -> Iterator[str]:
            for route in found:
                if hasattr(route, "original_router"):
                    yield from walk(route.original_router.routes)
                else:
                    path = route.path.replace(":path}", "}")
                    yield from (f"{method} {path}" for method in route.methods)

        return sorted(set(walk(self.app.routes)))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    store = Store(tmp_path_factory.mktemp("tenants") / "cloud", Changes())
    mine = store.projects.ensure("Warehouse", "Acme").id
    app = build_api(store, Calls(), max_artifact_bytes=1000)
    yield Api(**vars(Tenants.in_store(store, mine)), app=app)
    store.close()


@pytest.fixture
async def http(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=api.app)
    async with httpx.AsyncClient(base_url="http://cloud.invalid", transport=transport) as client:
        yield client


def bodies() -> dict[str, Any]:
    """A body that each route takes; whoever is entitled would change something with it."""
    known = {step.call.partition("?")[0]: step.body for step in steps("LS0t")}
    called = {re.sub(r"/data/(a/b|fps)$", "/data/{path}", call): b for call, b in known.items()}
    return {**called, "POST /projects": {"name": "More", "organizationId": "acme"}}


class Caller:
    """Calls routes with one key, in one tenant's name and with one tenant's ids."""

    def __init__(self, tenants: Tenants, http: httpx.AsyncClient, key: str | None) -> None:
        self._tenants, self._http = tenants, http
        self._headers = {} if key is None else {"x-api-key": key}
        self._bodies = bodies()

    async def refused(self, route: str, ids: dict[str, str], *statuses: int) -> None:
        """The call is refused so, with an error that tells nothing, and nothing was written."""
        before = self._tenants.revision
        answer = await self._call(route, ids)
        assert answer.status_code in statuses, f"{route}: {answer.status_code} {answer.text}"
        assert set(answer.json()) == {"code", "message", "details"}, route
        self._tells_nothing(route, answer, ids)
        assert self._tenants.revision == before, f"{route} wrote something"

    async def harmless(self, route: str, ids: dict[str, str]) -> None:
        """The call is answered, with nothing of theirs, and nothing was written."""
        before = self._tenants.revision
        answer = await self._call(route, ids)
        assert answer.status_code == 200, f"{route}: {answer.text}"
        self._tells_nothing(route, answer, ids)
        assert self._tenants.revision == before, f"{route} wrote something"

    async def _call(self, route: str, ids: dict[str, str]) -> httpx.Response:
        method, path = route.split(" ")
        body = filled(self._bodies.get(route), {**self._tenants.they.ids, **ids})
        if isinstance(body, dict) and "projectId" in body:
            body["projectId"] = ids["project_id"]
        query = (
            {"deviceId": ids["device_id"]} if path.endswith("/credentials/{credential_id}") else {}
        )
        return await self._http.request(
            method, f"/v1{filled(path, ids)}", json=body, params=query, headers=self._headers
        )

    def _tells_nothing(self, route: str, answer: httpx.Response, ids: dict[str, str]) -> None:
        they = self._tenants.they
        # What was asked with may be named: it is theirs only if more than that comes back.
        asked = filled(route, ids) + str(filled(self._bodies.get(route), {**they.ids, **ids}))
        asked += ids["project_id"]
        secrets = (they.marker, *(value for name, value in they.ids.items() if name != "path"))
        told = [text for text in secrets if text in answer.text and text not in asked]
        assert told == [], f"{route} tells {told}: {answer.text}"


def test_every_route_is_walked(api: Api) -> None:
    found = api.routes()
    assert len(found) > 80
    writes = {route for route in found if not route.startswith(("GET", "DELETE"))}
    assert writes - bodies().keys() == set(), "say what body makes it change something"
    unnamed = {route for route in found if "{project_id}" not in route}
    assert unnamed == WITHOUT_PROJECT.keys(), "say what another project's key gets there"


async def test_without_a_valid_key_every_route_refuses(api: Api, http: httpx.AsyncClient) -> None:
    keys, project = api.store.api_keys, api.they.project_id
    deleted = keys.create(project, "leaver")
    keys.delete(project, deleted.id, in_use=api.their_key)
    for key in (None, "wrong", deleted.key):
        stranger = Caller(api, http, key)
        for route in api.routes():
            await stranger.refused(route, api.they.ids, 401)


async def test_the_key_of_another_project_opens_no_route(api: Api, http: httpx.AsyncClient) -> None:
    me = Caller(api, http, api.my_key)
    for route in api.routes():
        status = WITHOUT_PROJECT.get(route, 403)
        if status == 200:
            await me.harmless(route, api.they.ids)
        else:
            await me.refused(route, api.they.ids, status)


async def test_what_belongs_to_another_project_is_not_found_in_ones_own(
    api: Api, http: httpx.AsyncClient
) -> None:
    me = Caller(api, http, api.my_key)
    own = {name: api.me.ids[name] for name in ("project_id", "organization_id")}
    for route in api.routes():
        named = set(re.findall(r"{(\w+)}", route)) - {*own, "path"}
        if named and "{project_id}" in route:
            await me.refused(route, {**api.they.ids, **own}, 404)
            # Each by itself, where a path names several.
            for one in sorted(named) if len(named) > 1 else ():
                ids = {**api.me.ids, one: api.they.ids[one]}
                await me.refused(route, ids, 404)


REFERENCES = [
    ("POST /devices", {"name": "new", "cohortId": "{cohort_id}"}),
    ("POST /devices", {"name": "new", "tagIds": ["{tag_id}"]}),
    ("POST /devices", {"name": "new", "blueprintId": "{blueprint_id}"}),
    ("POST /provisioning", {"name": "new", "cohortId": "{cohort_id}"}),
    ("PATCH /devices/{my_device_id}", {"cohortId": "{cohort_id}"}),
    ("PATCH /devices/{my_device_id}", {"addTagId": ["{tag_id}"]}),
    ("PUT /devices/{my_device_id}", {"tagIds": ["{tag_id}"]}),
    ("PATCH /devices/{my_device_id}", {"blueprintId": "{blueprint_id}"}),
    ("POST /credentials", {"identity": "x", "preSharedKey": "y", "deviceId": "{device_id}"}),
    ("POST /settings", {"key": "MARKER", "value": "x", "deviceId": "{device_id}"}),
    ("POST /settings", {"key": "MARKER", "value": "x", "blueprintId": "{blueprint_id}"}),
    ("GET /settings?deviceId={device_id}", None),
    ("GET /settings?blueprintId={blueprint_id}", None),
    ("POST /deployments", {"name": "x", "artifactIds": ["{artifact_id}"]}),
    ("POST /artifacts", {"blueprintId": "{blueprint_id}", "package": "x", "version": "1"}),
]
FILTERS = [
    "devices?cohortId={cohort_id}",
    "devices?tags={tag_id}",
    "devices?blueprintId={blueprint_id}",
    "devices?term=only-elsewhere",
    "artifacts?ids={artifact_id}",
    "artifacts?package={package_id}",
    "artifacts?blueprintId={blueprint_id}",
    "logs?deviceId={device_id}",
    "logs?tags={tag_id}",
    "firmware/logs?deviceId={device_id}",
    "stream?deviceId={device_id}",
    "ota-events?deviceId={device_id}",
    "ota-events?cohortId={cohort_id}",
    "ota-events/stats?deviceId={device_id}",
]


async def test_a_body_can_not_reach_into_another_project(api: Api, http: httpx.AsyncClient) -> None:
    ids = {**api.they.ids, "my_device_id": api.me.ids["device_id"]}
    for call, body in REFERENCES:
        method, path = filled(call, ids).split(" ")
        sent = filled(body, ids)
        if path == "/artifacts":
            path, sent = (
                "/v1/artifacts",
                {**sent, "projectId": api.me.project_id, "content": ""},
            )
        else:
            own = "organizations/{organization_id}/projects/{project_id}/cohorts/{cohort_id}"
            within = own if path == "/deployments" else "projects/{project_id}"
            path = f"/v1/{filled(within, api.me.ids)}{path}"
        before = api.revision
        answer = await http.request(method, path, json=sent, headers={"x-api-key": api.my_key})
        assert answer.status_code == 404, (call, body, answer.text)
        assert api.revision == before, (call, body)


async def test_a_filter_finds_nothing_of_another_project(api: Api, http: httpx.AsyncClient) -> None:
    for call in FILTERS:
        owned = "organizations/{organization_id}/" if call.startswith("ota") else ""
        path = filled(f"/v1/{owned}projects/{{project_id}}/", api.me.ids)
        path += filled(call, api.they.ids)
        answer = await http.get(path, headers={"x-api-key": api.my_key})
        assert answer.status_code == 200, (call, answer.text)
        found = answer.json()["list"]
        assert [entry for entry in found if entry.get("stats", True)] == [], call
