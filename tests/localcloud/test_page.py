"""The fleet page: sign-in, headers, and what it shows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from aiocoap import POST

from protocol.report import OtaReport, OtaState, encode_report
from tests.support.cloud import Bench, Operator, get, request

COOKIE = "edgeferry_cloud"


@pytest.fixture
async def browser(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=bench.cloud.http_url, verify=False) as client:
        yield client


async def _sign_in(bench: Bench, browser: httpx.AsyncClient) -> httpx.Response:
    return await browser.post("/sign-in", data={"key": f" {bench.cloud.api_key}\n"})


async def test_strangers_get_the_sign_in_form_and_no_data(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/")
    assert page.status_code == 200
    assert '<form method="post" action="/sign-in">' in page.text
    refused = await browser.get("/fleet.json")
    assert (refused.status_code, refused.json()["code"]) == (401, 16)


async def test_a_wrong_key_signs_nobody_in(browser: httpx.AsyncClient) -> None:
    for data in ({"key": "wrong"}, {"key": ""}, {}):
        answer = await browser.post("/sign-in", data=data)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
        assert "not known here" in answer.text


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    bench: Bench, browser: httpx.AsyncClient
) -> None:
    answer = await _sign_in(bench, browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert bench.cloud.api_key not in answer.headers["set-cookie"]


async def test_a_forged_cookie_opens_nothing(browser: httpx.AsyncClient) -> None:
    browser.cookies.set(COOKIE, "A" * 43)
    assert (await browser.get("/fleet.json")).status_code == 401


async def test_signing_out_ends_the_session_at_the_server(
    bench: Bench, browser: httpx.AsyncClient
) -> None:
    await _sign_in(bench, browser)
    token = browser.cookies[COOKIE]
    assert (await browser.get("/fleet.json")).status_code == 200
    await browser.post("/sign-out")
    browser.cookies.set(COOKIE, token)
    assert (await browser.get("/fleet.json")).status_code == 401


async def test_every_answer_has_safe_headers(bench: Bench, browser: httpx.AsyncClient) -> None:
    strangers = [await browser.get("/"), await browser.get("/static/nothing.js")]
    signing_in = await _sign_in(bench, browser)
    paths = ("/", "/fleet.json", "/static/fleet.js", "/static/fleet.css")
    for answer in [*strangers, signing_in, *[await browser.get(path) for path in paths]]:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers


async def test_the_page_needs_nothing_from_elsewhere(
    bench: Bench, browser: httpx.AsyncClient
) -> None:
    await _sign_in(bench, browser)
    page = (await browser.get("/")).text
    assert "://" not in page
    assert "<script>" not in page
    assert "style=" not in page
    for path in ("/static/fleet.js", "/static/fleet.css"):
        assert (await browser.get(path)).status_code == 200
    assert "innerHTML" not in (await browser.get("/static/fleet.js")).text


async def test_files_outside_the_page_are_not_served(browser: httpx.AsyncClient) -> None:
    for name in ("..%2fviews.py", "fleet.html", "%2e%2e/%2e%2e/cloud.py"):
        assert (await browser.get(f"/static/{name}")).status_code == 404


async def test_it_shows_what_devices_say(
    bench: Bench, operator: Operator, browser: httpx.AsyncClient
) -> None:
    cohort = await operator.cohort("bench")
    model = await operator.upload("ai-model", "2", bytes(100))
    await operator.deploy(cohort, model["id"], name="roll 2")
    device = await operator.device("camera-1", cohort)
    await operator.device("camera-2")
    link = await bench.link(device)
    document = {
        "state": "downloading",
        "active": {"packages": {"ai-model": {"version": "1", "sha256": "x", "size": 1}}},
        "target": {
            "packages": {"ai-model": {"version": "2"}},
            "bytes_done": 25,
            "bytes_total": 100,
        },
        "last_error": {"reason": "link-lost", "detail": "no answer"},
        "worker": {"state": "serving", "fps": 9.5},
    }
    body = json.dumps(document).encode()
    await link.request(request(POST, ".d/edgeferry", body, content_format=50))
    report = encode_report(OtaReport("ai-model", OtaState.DOWNLOADING, version="1", target="2"))
    await link.request(request(POST, ".u/c/ai-model", report, content_format=60))
    await _sign_in(bench, browser)
    fleet = (await browser.get("/fleet.json")).json()
    assert (fleet["project"], fleet["total"]) == ("Warehouse", 2)
    one, two = fleet["devices"]
    assert one | {"lastSeen": None} == {
        "id": device.id,
        "name": "camera-1",
        "cohort": "bench",
        "enabled": True,
        "online": True,
        "lastSeen": None,
        "state": "downloading",
        "packages": {"ai-model": "1"},
        "target": {"ai-model": "2"},
        "progress": {"done": 25, "total": 100},
        "error": "link-lost: no answer",
        "worker": {"state": "serving", "fps": 9.5},
    }
    assert (two["online"], two["state"], two["lastSeen"]) == (False, None, None)
    [shown] = fleet["cohorts"]
    assert (shown["name"], shown["devices"]) == ("bench", 1)
    assert shown["deployment"]["name"] == "roll 2"
    assert shown["deployment"]["packages"] == {"ai-model": "2"}
    [event] = fleet["events"]
    assert (event["device"], event["eventType"]) == ("camera-1", "DOWNLOADING")


async def test_nonsense_from_a_device_does_not_break_the_page(
    bench: Bench, operator: Operator, browser: httpx.AsyncClient
) -> None:
    link = await bench.link(await operator.device("camera-1"))
    await _sign_in(bench, browser)
    for document in (
        7,
        {"state": 7, "active": [], "target": {"packages": {"a": 1}}, "worker": {"fps": "x"}},
        {"target": {"bytes_done": 5, "bytes_total": 0}, "last_error": "text"},
        {"target": {"bytes_done": True, "bytes_total": 4}, "progress": {"bytes_done": -1}},
        {"target": {"sequence": 1}, "progress": {"bytes_done": 4, "bytes_total": 4}},
        {"target": None, "progress": {"bytes_done": 1, "bytes_total": 4}},
    ):
        body = json.dumps(document).encode()
        await link.request(request(POST, ".d/edgeferry", body, content_format=50))
        fleet = (await browser.get("/fleet.json")).json()
        assert fleet["devices"][0]["progress"] is None
    assert fleet["devices"][0]["error"] == "text"
    assert (await get(link, "hello")).payload == b"Hello camera-1"


async def test_another_projects_devices_are_not_shown(
    bench: Bench, browser: httpx.AsyncClient
) -> None:
    await bench.other_operator("Elsewhere").device("hidden")
    await _sign_in(bench, browser)
    assert (await browser.get("/fleet.json")).json()["devices"] == []
