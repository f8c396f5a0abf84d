"""Tags and blueprints: who is reached through them."""

from __future__ import annotations

import json

from aiocoap import GET

from tests.support.cloud import Bench, Operator, first, request


async def _made(operator: Operator, kind: str, name: str) -> str:
    made = await operator.call("POST", f"{operator.project}/{kind}", {"name": name})
    return str(made["data"]["id"])


async def test_devices_are_listed_by_tag_and_blueprint(operator: Operator) -> None:
    roof, door = [await _made(operator, "tags", name) for name in ("roof", "door")]
    blueprint = await _made(operator, "blueprints", "pi-5")
    one, two = [await operator.device(name) for name in ("camera-1", "camera-2")]
    path = f"{operator.project}/devices"
    change = {"addTagId": [roof, door, roof], "blueprintId": blueprint}
    changed = (await operator.call("PATCH", f"{path}/{one.id}", change))["data"]
    assert (changed["tagIds"], changed["blueprintId"]) == ([roof, door], blueprint)
    await operator.call("PATCH", f"{path}/{two.id}", {"tagIds": [roof]})
    cases: list[tuple[dict[str, str | list[str]], list[str]]] = [
        ({"tags": roof}, [one.id, two.id]),
        ({"tags": [roof, door]}, [one.id]),
        ({"blueprintId": blueprint}, [one.id]),
    ]
    for query, found in cases:
        answer = await operator.http.get(path, params=query)
        assert [device["id"] for device in answer.json()["list"]] == found, query
    in_use = await operator.http.delete(f"{operator.project}/blueprints/{blueprint}")
    assert in_use.status_code == 400
    leaving = {"removeTagId": [roof], "blueprintId": None}
    changed = (await operator.call("PATCH", f"{path}/{one.id}", leaving))["data"]
    assert (changed["tagIds"], "blueprintId" in changed) == ([door], False)
    await operator.call("DELETE", f"{operator.project}/tags/{door}")
    assert (await operator.call("GET", f"{path}/{one.id}"))["data"]["tagIds"] == []


async def test_a_value_reaches_the_state_of_all_devices_with_a_tag(
    bench: Bench, operator: Operator
) -> None:
    roof = await _made(operator, "tags", "roof")
    tagged, other = [await operator.device(name) for name in ("camera-1", "camera-2")]
    await operator.call("PATCH", f"{operator.project}/devices/{tagged.id}", {"tagIds": [roof]})
    link = await bench.link(tagged)
    observation = link.observe(request(GET, ".d/desired", accept=50))
    assert (await first(observation)).payload == b"null"
    path = f"{operator.project}/devicesByTag/{roof}/data/desired"
    await operator.call("POST", path, {"fps": 5})
    assert json.loads((await first(observation)).payload) == {"fps": 5}
    states = f"{operator.project}/devices/{other.id}/data"
    assert (await operator.call("GET", states))["data"] == {}
    await operator.call("DELETE", f"{path}/fps")
    assert (await first(observation)).payload == b"{}"


async def test_a_devices_value_goes_before_its_blueprints_and_that_before_the_projects(
    bench: Bench, operator: Operator
) -> None:
    blueprint = await _made(operator, "blueprints", "pi-5")
    device = await operator.device("camera-1")
    settings = f"{operator.project}/settings"
    whole = {"key": "FPS", "dataType": "integer", "value": 1}
    unmade = await operator.http.post(settings, json={**whole, "blueprintId": blueprint})
    assert unmade.status_code == 404, "the project's setting comes first"
    await operator.call("POST", settings, whole)
    await operator.call("POST", settings, {**whole, "value": 2, "blueprintId": blueprint})
    link = await bench.link(device)
    observation = link.observe(request(GET, ".c", accept=50))
    assert (await first(observation)).payload == b'"OK"'
    seen = []

    async def told() -> object:
        message = json.loads((await first(observation)).payload)
        seen.append(message["version"])
        return message["settings"]["FPS"]

    assert await told() == 1
    path = f"{operator.project}/devices/{device.id}"
    await operator.call("PATCH", path, {"blueprintId": blueprint})
    assert await told() == 2, "joining a blueprint brings its values"
    own = await operator.call("POST", settings, {**whole, "value": 3, "deviceId": device.id})
    assert await told() == 3
    [effective] = (await operator.call("GET", f"{path}/settings"))["list"]
    assert effective["deviceId"] == device.id
    await operator.call("DELETE", f"{settings}/{own['data']['id']}")
    assert await told() == 2
    [listed] = (await operator.call("GET", f"{settings}?blueprintId={blueprint}"))["list"]
    await operator.call("PATCH", f"{settings}/{listed['id']}", {"value": 4})
    assert await told() == 4
    await operator.call("PATCH", path, {"blueprintId": ""})
    assert await told() == 1
    assert seen == sorted(set(seen)), "each change is a newer version"
    both = {**whole, "deviceId": device.id, "blueprintId": blueprint}
    assert (await operator.http.post(settings, json=both)).status_code == 400
