"""What devices report of their updates, over real DTLS, and what the operator sees of it."""

from __future__ import annotations

import cbor2
from aiocoap import CHANGED, POST, PUT, Code

from protocol.formats import ContentFormat
from protocol.report import OtaReason, OtaReport, OtaState, encode_report
from tests.support.cloud import Bench, Operator, request

MODEL = b"any"
CBOR = int(ContentFormat.CBOR)


async def test_a_report_becomes_an_event_and_the_devices_status(
    bench: Bench, operator: Operator
) -> None:
    cohort = await operator.cohort("bench")
    model = await operator.upload("ai-model", "2", MODEL)
    await operator.deploy(cohort, model["id"])
    device = await operator.device("camera-1", cohort)
    link = await bench.link(device)
    # As the SDK writes it: a map of indefinite length.
    body = bytes.fromhex("bf6173016172 0063706b67 6861692d6d6f64656c 6176 6131 6174 6132 ff")
    answer = await link.request(request(POST, ".u/c/ai-model", body, content_format=CBOR))
    assert (answer.code, answer.payload) == (CHANGED, b"")
    [event] = await operator.events(deviceId=device.id)
    assert {key: event[key] for key in event if key != "timestamp"} == {
        "deviceId": device.id,
        "packageId": "ai-model",
        "eventType": "DOWNLOADING",
        "status": 0,
        "message": "ready state",
        "currentVersion": "1",
        "targetVersion": "2",
    }
    shown = (await operator.call("GET", f"{operator.project}/devices/{device.id}"))["data"]
    status = shown["metadata"]["update"]["ai-model"]
    assert status.pop("time")
    assert status == {
        "package": "ai-model",
        "version": "1",
        "target": "2",
        "state": "DOWNLOADING",
        "stateCode": "1",
        "reason": "ready state",
        "reasonCode": "0",
    }


async def test_events_come_newest_first_with_the_reason_as_status(
    bench: Bench, operator: Operator
) -> None:
    cohort = await operator.cohort("bench")
    model = await operator.upload("main", "2", MODEL)
    await operator.deploy(cohort, model["id"])
    device = await operator.device("camera-1", cohort)
    link = await bench.link(device)
    for number in range(10):
        report = OtaReport("main", OtaState(number % 4), OtaReason(number), "1", "2")
        sent = request(PUT, ".u/c/main", encode_report(report), content_format=CBOR)
        assert (await link.request(sent)).code == CHANGED
    events = await operator.events(deviceId=device.id)
    assert [event["status"] for event in events] == list(range(9, -1, -1))
    assert [event["eventType"] for event in events][:4] == [
        "DOWNLOADING",
        "IDLE",
        "UPDATING",
        "DOWNLOADED",
    ]
    assert [e["status"] for e in await operator.events(eventType="UPDATING")] == [7, 3]
    assert [e["status"] for e in await operator.events(status="5", packageId="main")] == [5]
    assert await operator.events(cohortId="other") == []
    assert await operator.events(endTime=events[-1]["timestamp"]) == []
    since = await operator.events(startTime=events[2]["timestamp"])
    assert [event["status"] for event in since] == [9, 8, 7]


async def test_event_pages_go_there_and_back(bench: Bench, operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    await operator.deploy(cohort, (await operator.upload("main", "2", MODEL))["id"])
    link = await bench.link(await operator.device("camera-1", cohort))
    for number in range(5):
        report = encode_report(OtaReport("main", OtaState.IDLE, OtaReason(number)))
        await link.request(request(POST, ".u/c/main", report, content_format=CBOR))
    path = f"{operator.owned}/ota-events"

    async def page(token: str) -> tuple[list[int], str, str]:
        query = {"limit": "2", "pageToken": token}
        body = (await operator.http.get(path, params=query)).json()
        events = [event["status"] for event in body["list"]]
        return events, body["nextPageToken"], body["prevPageToken"]

    newest, older, none = await page("")
    assert (newest, none) == ([4, 3], "")
    middle, oldest, newer = await page(older)
    assert middle == [2, 1]
    last, end, _ = await page(oldest)
    assert (last, end) == ([0], "")
    assert (await page(newer))[0] == [4, 3]


async def test_a_repeated_report_is_one_event(bench: Bench, operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    await operator.deploy(cohort, (await operator.upload("main", "2", MODEL))["id"])
    link = await bench.link(await operator.device("camera-1", cohort))
    idle, downloading = OtaReport("main"), OtaReport("main", OtaState.DOWNLOADING)
    for report in (idle, idle, downloading, idle):
        sent = request(POST, ".u/c/main", encode_report(report), content_format=CBOR)
        await link.request(sent)
    kinds = [event["eventType"] for event in await operator.events()]
    assert kinds == ["IDLE", "DOWNLOADING", "IDLE"]


async def test_a_report_outside_the_active_deployment_is_no_event(
    bench: Bench, operator: Operator
) -> None:
    cohort = await operator.cohort("bench")
    model = await operator.upload("ai-model", "1", MODEL)
    old = await operator.upload("labels", "1", b"l")
    await operator.deploy(cohort, old["id"])
    await operator.deploy(cohort, model["id"])
    device = await operator.device("camera-1", cohort)
    link = await bench.link(device)
    for package in ("labels", "main", "ai-model"):
        body = encode_report(OtaReport(package, version="1"))
        sent = request(POST, f".u/c/{package}", body, content_format=CBOR)
        assert (await link.request(sent)).code == CHANGED
    assert [event["packageId"] for event in await operator.events()] == ["ai-model"]
    shown = (await operator.call("GET", f"{operator.project}/devices/{device.id}"))["data"]
    assert set(shown["metadata"]["update"]) == {"labels", "main", "ai-model"}
    messages = {entry["message"] for entry in await operator.logs(deviceId=device.id)}
    assert messages == {
        "Package labels is not included in the active deployment",
        "Package main is not included in the active deployment",
    }


async def test_a_bad_report_is_refused_with_the_reason(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    for body, part in [
        (b"\xff", "not valid CBOR"),
        (cbor2.dumps({"s": 9}), "state (key s)"),
        (cbor2.dumps({"s": 0, "v": 7}), "version (key v)"),
        (cbor2.dumps([1]), "must be a map"),
    ]:
        answer = await link.request(request(POST, ".u/c/main", body, content_format=CBOR))
        assert answer.code == Code.BAD_REQUEST
        assert part in answer.payload.decode()
    odd = await link.request(request(POST, ".u/c/no way", cbor2.dumps({}), content_format=CBOR))
    assert odd.code == Code.BAD_REQUEST
    shown = (await operator.call("GET", f"{operator.project}/devices/{device.id}"))["data"]
    assert shown["metadata"]["update"] == {}
