"""The way into the console: sign-in, cookies, origins, headers, and nothing for strangers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.cloud import Bench, Operator, http_client

COOKIE = "edgeferry_cloud"
PAGE = {"accept": "text/html"}
SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
PATHS = (
    "/",
    "/devices/0123456789abcdef01234567",
    "/packages",
    "/cohorts",
    "/compare",
    "/settings",
    "/pictures/0123456789abcdef01234567/samples/1",
    "/_nicegui/3.18.0/static/nicegui.js",
    "/_nicegui_ws/socket.io/?EIO=4&transport=polling",
    "/nothing",
)


@pytest.fixture
async def browser(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    url = bench.cloud.http_url
    async with http_client(url, {"origin": url}) as client:
        yield client


async def _sign_in(bench: Bench, browser: httpx.AsyncClient, **more: str) -> httpx.Response:
    return await browser.post("/sign-in", data={"key": f" {bench.cloud.api_key}\n", **more})


async def test_strangers_get_nothing_but_the_way_to_sign_in(browser: httpx.AsyncClient) -> None:
    for path in PATHS:
        refused = await browser.get(path)
        assert (refused.status_code, list(refused.json())) == (401, ["error"]), path
        assert (await browser.post(path)).status_code == 401, path
    sent = await browser.get("/devices/x", headers=PAGE)
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?next=/devices/x")
    form = await browser.get(sent.headers["location"])
    assert form.status_code == 200
    assert 'name="next" value="/devices/x"' in form.text


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


async def test_signing_in_leads_to_pages_of_this_server_only(
    bench: Bench, browser: httpx.AsyncClient
) -> None:
    for wanted, led in [
        ("/cohorts", "/cohorts"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
    ]:
        assert (await _sign_in(bench, browser, next=wanted)).headers["location"] == led
    shown = await browser.get("/sign-in", params={"next": '/"><script>'})
    assert "<script>" not in shown.text


async def test_a_session_ends_with_the_sign_out_and_with_its_key(
    bench: Bench, operator: Operator, browser: httpx.AsyncClient
) -> None:
    browser.cookies.set(COOKIE, "A" * 43)
    assert (await browser.get("/nothing")).status_code == 401, "a forged cookie"
    browser.cookies.clear()
    made = (await operator.call("POST", f"{operator.project}/apikeys", {"name": "guest"}))["data"]
    await browser.post("/sign-in", data={"key": made["key"]})
    assert (await browser.get("/nothing")).status_code == 404
    await operator.call("DELETE", f"{operator.project}/apikeys/{made['id']}")
    assert (await browser.get("/nothing")).status_code == 401
    await _sign_in(bench, browser)
    token = browser.cookies[COOKIE]
    await browser.post("/sign-out")
    browser.cookies.set(COOKIE, token)
    assert (await browser.get("/nothing")).status_code == 401


async def test_other_sites_pages_can_change_nothing(
    bench: Bench, browser: httpx.AsyncClient
) -> None:
    await _sign_in(bench, browser)
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        for path in ("/sign-out", "/sign-in", "/_nicegui/client/x/upload/1"):
            answer = await browser.post(path, headers={"origin": origin})
            assert answer.status_code == 403, (origin, path)
    assert (await browser.get("/nothing")).status_code == 404, "still signed in"


async def test_websockets_are_for_the_consoles_own_pages(
    bench: Bench, browser: httpx.AsyncClient
) -> None:
    await _sign_in(bench, browser)
    signed_in = {"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
    url = bench.cloud.http_url.replace("http://", "ws://") + SOCKET
    for headers, origin in [
        ({}, bench.cloud.http_url),
        ({"Cookie": f"{COOKIE}={'A' * 43}"}, bench.cloud.http_url),
        (signed_in, "https://evil.example"),
        (signed_in, None),
    ]:
        with pytest.raises(InvalidStatus, match="403"):
            await connect(url, additional_headers=headers, origin=origin, proxy=None)  # type: ignore[arg-type]


async def test_every_answer_has_safe_headers(bench: Bench, browser: httpx.AsyncClient) -> None:
    strangers = [await browser.get(path) for path in ("/", "/sign-in", "/static/mark.svg")]
    signing_in = await _sign_in(bench, browser)
    page, file = await browser.get("/"), await browser.get("/static/console.js")
    for answer in [*strangers, signing_in, page, file, await browser.get("/nothing")]:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src 'self' 'unsafe-inline'" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "server" not in answer.headers
    assert "script-src" not in signing_in.headers["content-security-policy"]
    again = await browser.get("/")
    nonces = {
        answer.headers["content-security-policy"].split("nonce-")[1] for answer in (page, again)
    }
    assert len(nonces) == 2, "a nonce is good for one page"


def test_a_cloud_nobody_looks_at_does_not_load_the_pages_library() -> None:
    program = "import sys, localcloud.launch; print('nicegui' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"


async def test_files_outside_the_console_are_not_served(browser: httpx.AsyncClient) -> None:
    for name in ("..%2fsign_in.py", "../sign_in.html", "%2e%2e/%2e%2e/cloud.py"):
        assert (await browser.get(f"/static/{name}")).status_code in (401, 404)


async def test_a_large_form_is_refused(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/sign-in", content=b"key=" + b"x" * 100_000)
    assert answer.status_code == 413
