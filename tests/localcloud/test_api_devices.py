"""Devices, credentials, provisioning and certificates over HTTP."""

from __future__ import annotations

import base64
import re

import pytest

from tests.support.cloud import Operator
from tests.support.pki import Authority

OBJECT_ID = re.compile(r"[0-9a-f]{24}")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


async def test_a_device_has_the_documented_shape(operator: Operator) -> None:
    body = {"name": "dev1", "hardwareIds": ["hw1", "hw2"], "tagIds": [], "blueprintId": None}
    device = (await operator.call("POST", f"{operator.project}/devices", body))["data"]
    assert OBJECT_ID.fullmatch(device["id"])
    assert RFC3339.fullmatch(device["createdAt"])
    assert RFC3339.fullmatch(device["updatedAt"])
    assert device["hardwareIds"] == ["hw1", "hw2"]
    assert (device["name"], device["enabled"], device["tagIds"]) == ("dev1", True, [])
    assert device["status"] == "-"
    no_settings = {
        "status": "no-settings",
        "statusDetail": "there are no settings",
        "errors": [],
    }
    assert device["metadata"] == {
        "status": "-",
        "lastSettingsStatus": no_settings,
        "update": {},
    }
    assert not {"cohortId", "certificateId", "blueprintId", "lastReport"} & set(device)


async def test_a_hardware_id_is_made_up_when_none_is_given(operator: Operator) -> None:
    device = (await operator.call("POST", f"{operator.project}/devices", {"name": "dev1"}))["data"]
    assert len(device["hardwareIds"]) == 1


IMPOSSIBLE_DEVICES = [
    ({"name": "taken", "hardwareIds": ["other"]}, 409, "name already in use"),
    ({"name": "new", "hardwareIds": ["hw-taken"]}, 409, "hardware id already in use"),
    ({"name": ""}, 400, "needs a name"),
    ({"name": "new", "cohortId": "nowhere"}, 404, "cohort not found"),
    ({"name": "new", "tagIds": ["0" * 24]}, 404, "tag not found"),
    ({"name": "new", "blueprintId": "0" * 24}, 404, "blueprint not found"),
    ({"name": "with\0nul"}, 400, "NUL"),
]


async def test_a_device_that_can_not_be_is_refused(operator: Operator) -> None:
    path = f"{operator.project}/devices"
    await operator.call("POST", path, {"name": "taken", "hardwareIds": ["hw-taken"]})
    for body, status, part in IMPOSSIBLE_DEVICES:
        answer = await operator.http.post(path, json=body)
        assert (answer.status_code, part in answer.json()["message"]) == (status, True), answer.text
    assert (await operator.call("GET", path))["total"] == 1, "nothing half-made stays behind"


async def test_devices_are_found_by_field_and_term(operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    first = await operator.device("Bell-Pepper", cohort)
    second = await operator.device("orange")
    await operator.call("PATCH", f"{operator.project}/devices/{second.id}", {"enabled": False})
    hardware = (await operator.call("GET", f"{operator.project}/devices/{second.id}"))["data"]

    async def found(**query: str) -> list[str]:
        answer = await operator.http.get(f"{operator.project}/devices", params=query)
        return [device["id"] for device in answer.json()["list"]]

    assert await found(deviceName="Bell-Pepper") == [first.id]
    assert await found(deviceName="bell-pepper") == []
    assert await found(term="PEPPER") == [first.id]
    assert await found(term="%") == []
    assert await found(cohortId=cohort) == [first.id]
    assert await found(enabled="false") == [second.id]
    assert await found(hardwareId=hardware["hardwareIds"][0]) == [second.id]


async def test_a_change_touches_only_what_it_names(operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    device = await operator.device("dev1", cohort)
    path = f"{operator.project}/devices/{device.id}"
    before = (await operator.call("GET", path))["data"]
    renamed = (await operator.call("PATCH", path, {"name": "dev2"}))["data"]
    assert renamed["name"] == "dev2"
    assert renamed["cohortId"] == cohort
    assert renamed["hardwareIds"] == before["hardwareIds"]
    added = (await operator.call("PATCH", path, {"addHardwareId": ["more"]}))["data"]
    assert added["hardwareIds"] == [*before["hardwareIds"], "more"]
    removed = (await operator.call("PATCH", path, {"removeHardwareId": ["more"]}))["data"]
    assert removed["hardwareIds"] == before["hardwareIds"]


@pytest.mark.parametrize("nothing", ["", None])
async def test_an_empty_cohort_takes_the_device_out(
    operator: Operator, nothing: str | None
) -> None:
    cohort = await operator.cohort("bench")
    device = await operator.device("dev1", cohort)
    path = f"{operator.project}/devices/{device.id}"
    after = (await operator.call("PATCH", path, {"cohortId": nothing}))["data"]
    assert "cohortId" not in after
    counted = (await operator.call("GET", f"{operator.owned}/cohorts/{cohort}"))["data"]
    assert counted["deviceCount"] == 0


async def test_a_deleted_device_is_gone_with_its_credentials(operator: Operator) -> None:
    device = await operator.device("dev1")
    path = f"{operator.project}/devices/{device.id}"
    assert await operator.call("DELETE", path) == {}
    assert (await operator.http.get(path)).status_code == 404
    assert (await operator.http.delete(path)).status_code == 404
    again = await operator.device("dev1")
    assert again.credential.identity == "dev1@warehouse"


async def test_identities_carry_the_project(operator: Operator) -> None:
    device = await operator.device("dev1")
    path = f"{operator.project}/devices/{device.id}/credentials"
    [credential] = (await operator.call("GET", path))["list"]
    assert OBJECT_ID.fullmatch(credential["id"])
    assert credential["identity"] == "dev1@warehouse"
    assert credential["preSharedKey"] == "key-of-dev1"
    assert credential["type"] == "PRE_SHARED_KEY"
    assert await operator.call("DELETE", f"{path}/{credential['id']}") == {}
    assert (await operator.call("GET", path))["list"] == []


IMPOSSIBLE_CREDENTIALS = [
    ({"identity": "dev1", "preSharedKey": "x"}, 409, "already in use: dev1@warehouse"),
    ({"identity": "", "preSharedKey": "x"}, 400, "identity"),
    ({"identity": "a" * 250, "preSharedKey": "x"}, 400, "identity"),
    ({"identity": "new", "preSharedKey": ""}, 400, "preSharedKey"),
    ({"identity": "new", "preSharedKey": "x" * 65}, 400, "preSharedKey"),
    ({"identity": "new", "type": "ASYMMETRIC_KEY_PAIR"}, 400, "upload the CA"),
]


async def test_a_credential_that_can_not_be_is_refused(operator: Operator) -> None:
    device = await operator.device("dev1")
    path = f"{operator.project}/devices/{device.id}/credentials"
    for body, status, part in IMPOSSIBLE_CREDENTIALS:
        answer = await operator.http.post(path, json=body)
        assert (answer.status_code, part in answer.json()["message"]) == (status, True), answer.text


async def test_provisioning_makes_device_and_key_in_one_call(operator: Operator) -> None:
    body = {"name": "dev1", "hardwareIds": ["hw1"], "identity": "dev1", "preSharedKey": "secret"}
    made = await operator.call("POST", f"{operator.project}/provisioning", body)
    device_id = made["data"]["deviceId"]
    path = f"{operator.project}/devices/{device_id}"
    assert (await operator.call("GET", path))["data"]["hardwareIds"] == ["hw1"]
    [credential] = (await operator.call("GET", f"{path}/credentials"))["list"]
    assert (credential["identity"], credential["preSharedKey"]) == ("dev1@warehouse", "secret")
    more = await operator.call("POST", f"{path}/provisioning", {"identity": "second"})
    assert more["data"]["deviceId"] == device_id
    generated = (await operator.call("GET", f"{path}/credentials"))["list"][1]
    assert re.fullmatch(r"[0-9a-f]{32}", generated["preSharedKey"])


async def test_failed_provisioning_leaves_no_device(operator: Operator) -> None:
    await operator.device("dev1")
    body = {"name": "dev2", "identity": "dev1", "preSharedKey": "secret"}
    answer = await operator.http.post(f"{operator.project}/provisioning", json=body)
    assert answer.status_code == 409
    assert (await operator.call("GET", f"{operator.project}/devices"))["total"] == 1


async def test_a_ca_certificate_is_shown_with_its_content(
    operator: Operator, authority: Authority
) -> None:
    made = await operator.trust(authority)
    shown = (await operator.call("GET", f"{operator.project}/certificates/{made['id']}"))["data"]
    assert shown == made
    assert (made["certType"], made["enabled"], made["demo"]) == ("root", True, False)
    assert made["projectId"] == "warehouse"
    content = made["certificateContent"]
    assert content["subject"] == content["issuer"] == "CN=Root golioth"
    assert content["serialNumber"] == str(authority.root.serial_number)
    assert (await operator.call("GET", f"{operator.project}/certificates"))["total"] == 1
    path = f"{operator.project}/certificates/{made['id']}"
    assert await operator.call("DELETE", path) == {}
    assert (await operator.http.get(path)).status_code == 404


async def test_what_is_no_ca_certificate_is_refused(
    operator: Operator, authority: Authority
) -> None:
    device = authority.device("dev1").certificate.read_bytes()
    known = authority.bundle.read_bytes()
    await operator.trust(authority)

    async def refused(content: bytes | str, kind: str = "root") -> tuple[int, str]:
        text = content if isinstance(content, str) else base64.b64encode(content).decode()
        body = {"certFile": text, "certType": kind}
        answer = await operator.http.post(f"{operator.project}/certificates", json=body)
        return answer.status_code, answer.json()["message"]

    assert await refused(device) == (
        400,
        "certFile is no CA certificate: it has no basic constraints",
    )
    assert (await refused(b"nothing"))[0] == 400
    assert "base64" in (await refused("§"))[1]
    assert "use 'root' or 'intermediate'" in (await refused(known, "leaf"))[1]
    assert (await refused(known))[0] == 409
