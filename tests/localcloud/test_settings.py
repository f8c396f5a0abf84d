"""Settings: the operator's calls, and what devices get and answer over real DTLS."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from aiocoap import CHANGED, GET, POST, Code, Message

from protocol.client import ClientLink, Observation
from protocol.device_settings import (
    DeviceSettings,
    SettingCode,
    SettingError,
    SettingsStatus,
    decode_settings,
    encode_settings_status,
)
from protocol.formats import ContentFormat
from tests.support.cloud import Bench, Json, Operator, TestDevice, first, get, request

CBOR, JSON = int(ContentFormat.CBOR), int(ContentFormat.JSON)


async def _make(operator: Operator, key: str, kind: str, value: Any, **scope: str) -> Json:
    body = {"key": key, "dataType": kind, "value": value, **scope}
    return dict((await operator.call("POST", f"{operator.project}/settings", body))["data"])


async def _device_list(operator: Operator, device: TestDevice) -> list[Json]:
    path = f"{operator.project}/devices/{device.id}/settings"
    return list((await operator.call("GET", path))["list"])


async def _sync(operator: Operator, device: TestDevice) -> Json:
    answer = await operator.call("GET", f"{operator.project}/devices/{device.id}")
    return dict(answer["data"]["metadata"]["lastSettingsStatus"])


async def _report(link: ClientLink, status: SettingsStatus) -> Message:
    return await link.request(
        request(POST, ".c/status", encode_settings_status(status), content_format=CBOR)
    )


async def _next_settings(observation: Observation) -> DeviceSettings:
    while (settings := decode_settings((await first(observation)).payload)) is None:
        pass
    return settings


async def test_a_setting_has_the_documented_shape(bench: Bench, operator: Operator) -> None:
    made = await _make(operator, "MIN_CONFIDENCE", "float", 1)
    assert made == {
        "id": made["id"],
        "key": "MIN_CONFIDENCE",
        "dataType": "float",
        "value": 1.0,
        "projectId": "warehouse",
        "createdAt": made["createdAt"],
        "updatedAt": made["updatedAt"],
    }
    listed = await operator.call("GET", f"{operator.project}/settings")
    assert listed == {"list": [made], "total": 1}
    kinds = await operator.call("GET", "/settings-data-types")
    assert {kind["type"] for kind in kinds["list"]} == {"integer", "float", "boolean", "string"}


async def test_an_observer_gets_each_change_and_a_newer_version(
    bench: Bench, operator: Operator
) -> None:
    link = await bench.link(await operator.device("camera-1"))
    observation = link.observe(request(GET, ".c", accept=CBOR))
    assert (await first(observation)).payload == b"\x62OK"
    rate = await _make(operator, "RATE", "float", 10)
    before = await _next_settings(observation)
    assert before.values == {"RATE": 10.0}
    assert isinstance(before.values["RATE"], float), "a whole number stays a float on the wire"
    path = f"{operator.project}/settings/{rate['id']}"
    # The official client sends the whole object.
    await operator.call("PUT", path, {**rate, "value": 2.5})
    after = await _next_settings(observation)
    assert (after.values, after.version > before.version) == ({"RATE": 2.5}, True)
    await operator.call("DELETE", path)
    gone = await _next_settings(observation)
    assert (gone.values, gone.version > after.version) == ({}, True)


async def test_a_device_that_comes_later_gets_what_holds_in_either_encoding(
    bench: Bench, operator: Operator
) -> None:
    await _make(operator, "LOG_LEVEL", "string", "warn")
    await _make(operator, "CAPTURE", "boolean", False)
    link = await bench.link(await operator.device("camera-1"))
    settings = await _next_settings(link.observe(request(GET, ".c", accept=CBOR)))
    assert settings.values == {"CAPTURE": False, "LOG_LEVEL": "warn"}
    in_json = await get(link, ".c", accept=JSON)
    assert decode_settings(in_json.payload, JSON) == settings


async def test_a_devices_own_value_goes_before_the_projects_until_it_is_deleted(
    bench: Bench, operator: Operator
) -> None:
    own, other = await operator.device("camera-1"), await operator.device("camera-2")
    await _make(operator, "RATE", "integer", 1)
    override = await _make(operator, "RATE", "integer", 7, deviceId=own.id)
    assert override["deviceId"] == own.id
    assert [(s["value"], s.get("deviceId")) for s in await _device_list(operator, own)] == [
        (7, own.id)
    ]
    assert [(s["value"], s.get("deviceId")) for s in await _device_list(operator, other)] == [
        (1, None)
    ]
    mine = await operator.call("GET", f"{operator.project}/settings?deviceId={own.id}")
    assert mine == {"list": [override], "total": 1}
    link = await bench.link(own)
    observation = link.observe(request(GET, ".c", accept=CBOR))
    assert (await _next_settings(observation)).values == {"RATE": 7}
    await operator.call("DELETE", f"{operator.project}/settings/{override['id']}")
    assert (await _next_settings(observation)).values == {"RATE": 1}


async def test_one_devices_value_concerns_no_other_device(bench: Bench, operator: Operator) -> None:
    own, other = await operator.device("camera-1"), await operator.device("camera-2")
    await _make(operator, "RATE", "integer", 1)
    link = await bench.link(other)
    before = await get(link, ".c", accept=CBOR)
    await _make(operator, "RATE", "integer", 7, deviceId=own.id)
    assert (await get(link, ".c", accept=CBOR)).payload == before.payload


async def test_the_devices_verdict_is_seen_by_the_operator(
    bench: Bench, operator: Operator
) -> None:
    device = await operator.device("camera-1")
    assert (await _sync(operator, device))["status"] == "no-settings"
    await _make(operator, "RATE", "integer", 2**33)
    link = await bench.link(device)
    assert (await _sync(operator, device))["status"] == "out-of-sync"
    version = cbor2.loads((await get(link, ".c", accept=CBOR)).payload)["version"]
    error = SettingError("RATE", SettingCode.VALUE_OUTSIDE_RANGE, "at most 100")
    assert (await _report(link, SettingsStatus(version, (error,)))).code == CHANGED
    refused = await _sync(operator, device)
    assert (refused["status"], refused["errors"]) == ("out-of-sync", [{"key": "RATE", "code": 4}])
    assert refused["reportedVersion"] == str(version)
    assert set(refused) == {"status", "statusDetail", "syncTime", "reportedVersion", "errors"}
    await _report(link, SettingsStatus(version))
    assert (await _sync(operator, device))["status"] == "in-sync"
    await _make(operator, "OTHER", "boolean", True)
    assert (await _sync(operator, device))["status"] == "out-of-sync"


async def test_other_clients_forms_of_the_verdict_are_understood(
    bench: Bench, operator: Operator
) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    for body, content_format in [(b'{"version":5,"error_code":0}', JSON), (b"\xa0", CBOR)]:
        status = request(POST, ".c/status", body, content_format=content_format)
        assert (await link.request(status)).code == CHANGED, body
    bad = request(POST, ".c/status", b'{"errors":1}', content_format=JSON)
    assert (await link.request(bad)).code == Code.BAD_REQUEST


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", 1.5),
        ("integer", True),
        ("integer", "1"),
        ("integer", 2**63),
        ("integer", None),
        ("float", "1.0"),
        ("float", False),
        ("boolean", 0),
        ("string", 7),
        ("string", ["a"]),
        ("string", "x" * 1025),
        ("colour", 1),
    ],
)
async def test_a_value_of_another_type_is_refused(
    operator: Operator, kind: str, value: object
) -> None:
    body = {"key": "RATE", "dataType": kind, "value": value}
    answer = await operator.http.post(f"{operator.project}/settings", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 3), answer.text
    assert (await operator.call("GET", f"{operator.project}/settings"))["total"] == 0


async def test_a_value_that_no_device_could_be_sent_is_refused(operator: Operator) -> None:
    # Python's JSON reader takes all of them, and one would keep every device from all settings.
    for kind, value in [
        ("float", "Infinity"),
        ("float", "NaN"),
        ("float", "1e999"),
        ("string", r'"\ud800"'),
    ]:
        body = f'{{"key": "RATE", "dataType": "{kind}", "value": {value}}}'
        headers = {"content-type": "application/json"}
        path = f"{operator.project}/settings"
        answer = await operator.http.post(path, content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, 3), value
    assert (await operator.call("GET", f"{operator.project}/settings"))["total"] == 0


async def test_names_and_levels_are_checked(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    await _make(operator, "RATE", "integer", 1)
    fine: Json = {"key": "RATE", "dataType": "integer", "value": 1}
    for change, status in [
        ({}, 409),
        ({"key": "rate"}, 400),
        ({"key": "NEW", "deviceId": device.id}, 404),
        ({"blueprintId": "0" * 24}, 404),
        ({"deviceId": "0" * 24}, 404),
    ]:
        answer = await operator.http.post(f"{operator.project}/settings", json=fine | change)
        assert answer.status_code == status, (change, answer.text)
    wrong = await operator.http.put(f"{operator.project}/settings/{'0' * 24}", json=fine)
    assert wrong.status_code == 404


async def test_another_projects_settings_stay_out_of_reach(
    bench: Bench, operator: Operator
) -> None:
    other = bench.other_operator("Elsewhere")
    theirs = await _make(other, "RATE", "integer", 1)
    camera = await other.device("camera-9")
    link = await bench.link(await operator.device("camera-1"))
    assert cbor2.loads((await get(link, ".c", accept=CBOR)).payload)["settings"] is None
    for method, path, status in [
        ("GET", f"{other.project}/settings", 403),
        ("GET", f"{other.project}/devices/{camera.id}/settings", 403),
        ("DELETE", f"{other.project}/settings/{theirs['id']}", 403),
        ("DELETE", f"{operator.project}/settings/{theirs['id']}", 404),
        ("GET", f"{operator.project}/devices/{camera.id}/settings", 404),
    ]:
        assert (await operator.http.request(method, path)).status_code == status, path
    assert (await other.call("GET", f"{other.project}/settings"))["total"] == 1
