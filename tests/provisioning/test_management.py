"""The management client against a real HTTP server that misbehaves on purpose."""

from __future__ import annotations

import base64
import hashlib
import logging
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from provisioning.errors import (
    AccessDenied,
    AlreadyExists,
    ArtifactDiffers,
    InvalidRequest,
    ManagementError,
    NotFound,
    RateLimited,
    ServerFailed,
    UnexpectedAnswer,
    Unreachable,
)
from provisioning.management import Management
from tests.support.scripted_api import ScriptedApi

KEY = "key-that-nobody-may-see"
PROJECT = {"data": {"id": "warehouse", "organizationId": "acme"}}
DEVICE = {"id": "d1", "name": "camera-1"}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    server = ScriptedApi()
    yield server
    server.stop()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def management(api: ScriptedApi, waits: list[float]) -> Iterator[Management]:
    with Management(api.url, KEY, "warehouse", sleep=waits.append) as management:
        yield management


def error(code: int, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "details": []}


def test_a_connection_is_not_used_again_when_the_server_may_be_closing_it(
    api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.rest.IDLE_SECONDS", 0.05)
    with Management(api.url, KEY, "warehouse") as management:
        for _ in range(2):
            api.answer({"data": DEVICE})
            management.device("d1")
            time.sleep(0.1)
    assert api.connections == 2


def test_every_request_carries_the_key(api: ScriptedApi, management: Management) -> None:
    api.answer({"data": DEVICE})
    management.device("d1")
    assert api.asked[0].key == KEY


def test_a_list_is_read_to_its_last_page(api: ScriptedApi, management: Management) -> None:
    for page, count in enumerate((100, 100, 37)):
        entries = [{"id": f"d{page}-{i}", "name": "x"} for i in range(count)]
        api.answer({"list": entries, "page": page, "perPage": 100, "total": 237})
    assert len(list(management.devices())) == 237
    assert [asked.query["page"] for asked in api.asked] == ["0", "1", "2"]


def test_a_server_with_smaller_pages_is_read_to_the_end(
    api: ScriptedApi, management: Management
) -> None:
    for page in range(2):
        api.answer({"list": [{"id": f"d{page}"}], "page": page, "perPage": 1, "total": "2"})
    assert [device.id for device in management.devices()] == ["d0", "d1"]


def test_a_list_without_a_total_is_one_page(api: ScriptedApi, management: Management) -> None:
    api.answer({"list": [{"id": "c1", "identity": "a@warehouse", "preSharedKey": "hidden-psk"}]})
    (credential,) = management.credentials("d1")
    assert credential.pre_shared_key == "hidden-psk"
    assert "hidden-psk" not in repr(credential)


def test_a_list_that_shrinks_while_it_is_read_ends(
    api: ScriptedApi, management: Management
) -> None:
    api.answer({"list": [DEVICE], "total": 3})
    api.answer({"list": [], "total": 0})
    assert len(list(management.devices())) == 1


def test_events_are_followed_over_their_page_tokens(
    api: ScriptedApi, management: Management
) -> None:
    event = {"deviceId": "d1", "packageId": "ai-model", "eventType": "IDLE", "status": 0}
    api.answer(PROJECT)
    api.answer({"list": [event, event], "nextPageToken": "more"})
    api.answer({"list": [event], "nextPageToken": ""})
    since = datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert len(list(management.ota_events(device_id="d1", since=since))) == 3
    assert api.asked[1].path == "/v1/organizations/acme/projects/warehouse/ota-events"
    assert api.asked[1].query["startTime"] == "2026-11-01T12:00:00+00:00"
    assert api.asked[2].query["pageToken"] == "more"


def test_the_organization_is_asked_for_once(api: ScriptedApi, management: Management) -> None:
    api.answer(PROJECT)
    api.answer({"data": {"cohortId": "bench", "name": "bench"}})
    api.answer({"data": {"deploymentId": "x", "artifactIds": ["a1"]}})
    cohort = management.create_cohort("bench")
    deployment = management.deploy(cohort, "first", ["a1"])
    assert deployment.artifact_ids == ("a1",)
    assert [asked.method for asked in api.asked] == ["GET", "POST", "POST"]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error(3, "hex string is not a valid ObjectID"), InvalidRequest),
        (401, error(16, "no such key"), AccessDenied),
        (403, error(7, "other project"), AccessDenied),
        (404, error(5, "device not found"), NotFound),
        (409, error(6, "taken"), AlreadyExists),
        (400, error(9, "artifact already exists"), AlreadyExists),
        (500, error(6, "artifact exists"), AlreadyExists),
        (500, error(13, "internal"), ServerFailed),
    ],
)
def test_a_refusal_becomes_the_error_of_its_kind(
    api: ScriptedApi, management: Management, status: int, body: Any, kind: type[ManagementError]
) -> None:
    api.answer(body, status)
    with pytest.raises(kind) as raised:
        management.device("d1")
    assert body["message"] in str(raised.value)
    assert raised.value.request == "GET projects/warehouse/devices/d1"


def test_what_a_server_says_is_fit_for_a_terminal(api: ScriptedApi, management: Management) -> None:
    api.answer(error(3, "\x1b[2J\ud800" + "x" * 5000), status=400)
    with pytest.raises(InvalidRequest) as refused:
        management.device("d1")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1500


def test_a_refusal_of_a_proxy_has_no_shape_to_rely_on(
    api: ScriptedApi, management: Management
) -> None:
    api.answer(b"<html>forbidden</html>", 403)
    with pytest.raises(AccessDenied, match="check the API key"):
        management.device("d1")


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b"", b"\xff"])
def test_an_answer_that_is_no_json_object_is_named(
    api: ScriptedApi, management: Management, body: bytes
) -> None:
    api.answer(body)
    with pytest.raises(UnexpectedAnswer, match="no JSON object"):
        management.device("d1")


def test_an_answer_without_a_needed_field_names_it_and_quotes_no_secret(
    api: ScriptedApi, management: Management
) -> None:
    api.answer({"data": {"identity": "a", "preSharedKey": "hidden-psk"}})
    with pytest.raises(UnexpectedAnswer, match="Credential in the answer: id") as raised:
        management.add_psk("d1", "a", "hidden-psk")
    assert "hidden-psk" not in str(raised.value)


def test_a_redirect_is_not_followed_with_the_key(api: ScriptedApi, management: Management) -> None:
    api.answer({}, 302, location="https://elsewhere.example/")
    with pytest.raises(UnexpectedAnswer, match=r"elsewhere\.example"):
        management.device("d1")
    assert len(api.asked) == 1


def test_a_busy_server_is_asked_again_when_it_said(
    api: ScriptedApi, management: Management, waits: list[float]
) -> None:
    api.answer(error(8, "slow down"), 429, retry_after="7")
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    api.answer(error(14, "restarting"), 503, retry_after=soon)
    api.answer({"data": {"id": "a1", "package": "p", "version": "1"}})
    assert management.upload_artifact("p", "1", b"x").id == "a1"
    assert waits[0] == 7
    assert 20 < waits[1] <= 30


def test_a_busy_server_holds_back_the_next_calls_too(
    api: ScriptedApi, management: Management, waits: list[float]
) -> None:
    """The clock stands still here, so the time to wait has not passed yet."""
    api.answer(error(8, "slow down"), 429, retry_after="7")
    for _ in range(2):
        api.answer({"data": {"id": "d1", "name": "camera-1"}})
    management.create_device("camera-1")
    assert waits == [7]
    management.device("d1")
    assert 0 < waits[1] <= 7


def test_a_server_that_wants_too_long_a_rest_is_not_waited_for(
    api: ScriptedApi, management: Management, waits: list[float]
) -> None:
    api.answer(error(8, "slow down"), 429, retry_after="86400")
    with pytest.raises(RateLimited) as raised:
        management.device("d1")
    assert raised.value.retry_after == 86400
    assert waits == []


def test_patience_ends(api: ScriptedApi, management: Management, waits: list[float]) -> None:
    for _ in range(5):
        api.answer(error(14, "restarting"), 503, retry_after="nonsense")
    with pytest.raises(ServerFailed, match="restarting"):
        management.device("d1")
    assert len(api.asked) == 5
    assert len(waits) == 4


def test_a_lost_answer_is_asked_for_again_only_where_that_is_safe(
    api: ScriptedApi, management: Management
) -> None:
    api.hang_up()
    api.answer({"data": DEVICE})
    assert management.join_cohort("d1", "bench").name == "camera-1"
    api.hang_up()
    with pytest.raises(Unreachable):
        management.create_device("camera-2")
    assert [asked.method for asked in api.asked] == ["PATCH", "PATCH", "POST"]


def test_nobody_there_is_tried_again_and_then_said(waits: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with (
        Management(url, KEY, "warehouse", attempts=3, sleep=waits.append) as management,
        pytest.raises(Unreachable, match="check the address"),
    ):
        management.create_device("camera-1")
    assert len(waits) == 2


def test_the_key_is_in_no_text(
    api: ScriptedApi, management: Management, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api.answer(error(14, "restarting"), 503, retry_after="0")
    api.answer(error(16, "no such key"), 401)
    with pytest.raises(AccessDenied) as raised:
        management.device("d1")
    texts = [caplog.text, str(raised.value), repr(management), repr(vars(management))]
    assert "trying again" in caplog.text
    assert not any(KEY in text for text in texts)


@pytest.mark.parametrize("key", ["", "two words", "line\n", "schlüssel"])
def test_an_unusable_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="copy it again") as raised:
        Management("http://127.0.0.1:1", key, "warehouse")
    assert not key or key not in str(raised.value)


def test_published_bytes_are_what_the_api_gets(api: ScriptedApi, management: Management) -> None:
    api.answer({"data": {"id": "a1", "package": "ai-model", "version": "2", "size": "3"}})
    artifact = management.publish("ai-model", "2", b"\x00\xff\x10")
    assert artifact.size == 3
    assert base64.b64decode(api.asked[0].body["content"]) == b"\x00\xff\x10"
    assert api.asked[0].path == "/v1/artifacts"


@pytest.mark.parametrize("digest_known", [True, False])
def test_publishing_the_same_again_finds_what_is_there(
    api: ScriptedApi, management: Management, digest_known: bool
) -> None:
    found: dict[str, Any] = {"id": "a1", "package": "p", "version": "1", "size": "5"}
    if digest_known:
        digest = hashlib.sha256(b"hello").hexdigest()
        found["binaryInfo"] = {"digests": {"sha256": {"digest": digest}}}
    api.answer(error(6, "artifact already exists"), 409)
    api.answer({"list": [found], "total": 1})
    assert management.publish("p", "1", b"hello").id == "a1"


def test_publishing_other_content_under_the_same_version_is_refused(
    api: ScriptedApi, management: Management
) -> None:
    digests = {"sha256": {"digest": hashlib.sha256(b"hello").hexdigest()}}
    found = {"id": "a1", "package": "p", "version": "1", "size": "5"}
    api.answer(error(6, "artifact already exists"), 409)
    api.answer({"list": [{**found, "binaryInfo": {"digests": digests}}], "total": 1})
    with pytest.raises(ArtifactDiffers, match="give it a new version"):
        management.publish("p", "1", b"hullo")


def test_a_ca_goes_up_as_base64_of_its_pem_text(api: ScriptedApi, management: Management) -> None:
    api.answer({"data": {"id": "c1", "certType": "root", "enabled": True}})
    pem = b"-----BEGIN CERTIFICATE-----\n"
    assert management.upload_ca(pem).cert_type == "root"
    assert base64.b64decode(api.asked[0].body["certFile"]) == pem


def test_state_is_read_and_written_as_plain_json(api: ScriptedApi, management: Management) -> None:
    api.answer({"data": {"progress": 0.5}})
    api.answer({"data": None})
    api.answer({"data": {}})
    assert management.device_state("d1", "edgeferry") == {"progress": 0.5}
    assert management.device_state("d1", "/no such/value/") is None
    management.set_device_state("d1", "wanted/rate", 10)
    assert api.asked[1].path == "/v1/projects/warehouse/devices/d1/data/no%20such/value"
    assert api.asked[2].body == 10


def test_a_device_shows_what_it_last_reported(api: ScriptedApi, management: Management) -> None:
    report = {"package": "ai-model", "version": "2", "state": "IDLE", "stateCode": "0"}
    document = {**DEVICE, "cohortId": "", "metadata": {"update": {"ai-model": report}, "x": None}}
    api.answer({"data": document})
    device = management.device("d1")
    assert device.cohort_id is None
    assert device.updates["ai-model"].version == "2"
