"""The console in a real Chromium, with real devices behind it; one browser for all of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from aiocoap import GET, POST
from playwright.async_api import expect

import demo
from localcloud.calls import Calls
from localcloud.cloud import LocalCloud
from localcloud.console.deliveries import history
from localcloud.console.signatures import SIGNATURE_PACKAGE
from localcloud.console.visit import Visit
from protocol.client import ClientLink
from protocol.formats import PlainValue
from protocol.report import OtaReport, OtaState, encode_report
from protocol.rpc import RpcCode, RpcResult, decode_call, encode_result
from protocol.uploads import post_body
from tests.localcloud.conftest import UNLIMITED
from tests.localcloud.console.conftest import NobodyIsOnline
from tests.support.browser import PATIENCE_MS, Visitor, visiting
from tests.support.cloud import Bench, Json, TestDevice, first, request

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

expect.set_options(timeout=PATIENCE_MS)


class Scene:
    """A cloud with a canary cohort of two devices, one of them connected."""

    bench: Bench
    visitor: Visitor
    device: TestDevice
    link: ClientLink
    visit: Visit

    async def say(self, **document: object) -> None:
        """The device writes its state document."""
        body = json.dumps(document).encode()
        await self.link.request(request(POST, ".d/edgeferry", body, content_format=50))

    async def report(self, state: OtaState, version: str, target: str | None = None) -> None:
        """The device reports about its model."""
        body = encode_report(OtaReport("ai-model", state, version=version, target=target))
        await self.link.request(request(POST, ".u/c/ai-model", body, content_format=60))

    async def send(self, path: str, document: Json) -> None:
        """The device streams a document."""
        body = json.dumps(document).encode()
        answer = await post_body(self.link.request, f".s/edgeferry/{path}", body, 50)
        assert answer.code.is_successful(), answer.payload

    async def send_log(self, message: str) -> None:
        """The device logs a warning."""
        line = json.dumps({"level": "warn", "module": "agent", "msg": message}).encode()
        await self.link.request(request(POST, ".s/logs", line, content_format=50))

    async def answer_calls(self) -> None:
        """The device knows the call status, and no other."""
        async for message in self.link.observe(request(GET, ".rpc", accept=60)):
            call = decode_call(message.payload)
            if call is not None:
                known = call.method == "status"
                detail: PlainValue = {"serving": True} if known else None
                code = RpcCode.OK if known else RpcCode.NOT_FOUND
                body = encode_result(RpcResult(call.id, code, detail))
                await self.link.request(request(POST, ".rpc/status", body, content_format=60))


def snapshot(picture: bytes) -> Json:
    """A snapshot as a device streams it."""
    jpeg = base64.b64encode(picture).decode()
    return {"format": 1, "id": "s1", "label": "oranges", "confidence": 0.97, "jpeg": jpeg}


def sample_parts(picture: bytes) -> list[Json]:
    """A sample as a device streams it."""
    pieces = [picture[at : at + 16_384] for at in range(0, len(picture), 16_384)]
    whole = {"format": 1, "id": "1", "parts": len(pieces), "version": "2", "why": "below"}
    whole |= {"sha256": hashlib.sha256(picture).hexdigest()}
    whole |= {"top": [{"label": "oranges", "confidence": 0.51}]}
    return [
        whole | {"part": number, "data": base64.b64encode(piece).decode()}
        for number, piece in enumerate(pieces)
    ]


def metrics(number: int, version: str, confidence: float) -> Json:
    """An interval's metrics as a device streams them."""
    return {
        "format": 1,
        "id": f"{version}-{number}",
        "release": f"release-{version}",
        "version": version,
        "captured": 100,
        "classified": 100,
        "classes": {"bell-pepper": 60, "oranges": 40},
        "confidence": {"sum": 100 * confidence},
        "latency_ms": {"p50": 12.0, "p95": 20.0 + number},
        "drift": {"psi": 0.03},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("console")
    async with LocalCloud(folder / "cloud", UNLIMITED) as cloud, AsyncExitStack() as stack:
        scene = Scene()
        scene.bench = Bench(cloud, stack)
        operator = scene.bench.operator
        cohort = await operator.cohort("canary")
        await operator.cohort("production")
        model = await operator.upload("ai-model", "1", bytes(1000))
        await operator.deploy(cohort, model["id"], name="first")
        scene.device = await operator.device("camera-1", cohort)
        await operator.device("camera-2", cohort)
        scene.visit = Visit(
            cloud.store, NobodyIsOnline(), Calls(), cloud.project.id, 0, is_open=lambda: True
        )
        scene.visitor = await stack.enter_async_context(visiting(cloud.http_url))
        scene.link = await scene.bench.link(scene.device)
        await scene.say(state="idle", active={"id": "r1", "versions": {"ai-model": "1"}})
        yield scene


async def test_only_the_right_key_opens_the_fleet(scene: Scene) -> None:
    page = scene.visitor.page
    await expect(page).to_have_title("Sign in · Edgeferry")
    await scene.visitor.photograph("sign-in")
    await scene.visitor.sign_in("wrong")
    await expect(page.get_by_role("alert")).to_contain_text("not known here")
    scene.visitor.complaints.clear()  # the browser's own word about the 401
    await scene.visitor.sign_in(scene.bench.cloud.api_key)
    await expect(page).to_have_title("Fleet · Edgeferry")
    row = page.locator("tr", has_text="camera-1")
    await expect(row).to_contain_text("current")
    await expect(row).to_contain_text("ai-model 1")
    await expect(page.locator("tr", has_text="camera-2")).to_contain_text("never connected")


async def test_the_fleet_follows_its_devices_without_reloading(scene: Scene) -> None:
    page = scene.visitor.page
    await page.evaluate("window.sameDocument = true")
    await scene.report(OtaState.DOWNLOADING, "1", "2")
    await scene.say(
        state="downloading",
        active={"id": "r1", "versions": {"ai-model": "0"}},
        target={"id": "r2", "versions": {"ai-model": "1"}},
        progress={"bytes_done": 25, "bytes_total": 100},
    )
    row = page.locator("tr", has_text="camera-1")
    await expect(row).to_contain_text("updating")
    await expect(row).to_contain_text("given ai-model 1")
    await expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "0.25")
    await expect(page.locator(".ef-events li").first).to_contain_text("downloading")
    assert await page.evaluate("window.sameDocument") is True
    await scene.visitor.photograph("fleet")


async def test_filters_narrow_the_fleet(scene: Scene) -> None:
    page = scene.visitor.page
    rows = page.locator(".ef-table tbody tr")
    await expect(rows).to_have_count(2)
    await page.get_by_label("Find a device").fill("camera-2")
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_contain_text("camera-2")
    await page.get_by_label("Find a device").fill("")
    await expect(rows).to_have_count(2)
    await page.locator(".ef-tile", has_text="online").click()
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_contain_text("camera-1")


async def test_a_version_is_uploaded_and_deployed_after_a_look_at_the_change(
    scene: Scene, tmp_path: Path
) -> None:
    page, store = scene.visitor.page, scene.bench.cloud.store
    model = tmp_path / "model.tflite"
    model.write_bytes(bytes(2000))
    await scene.visitor.go("/packages")
    await page.get_by_label("Version").fill("2")
    await page.locator("input[type=file]").set_input_files(model)
    await expect(page.locator(".ef-plain tr", has_text="2.0 kB")).to_be_visible()
    await scene.visitor.photograph("packages")
    manifest = scene.link.observe(request(GET, ".u/desired", accept=50))
    await first(manifest)

    await scene.visitor.go("/cohorts")
    await scene.visitor.photograph("cohorts")
    await page.get_by_role("link", name="canary").click()
    await page.locator(".ef-deploy").get_by_label("ai-model").click()
    await page.get_by_role("option", name="2", exact=True).click()
    await page.get_by_role("button", name="Review the change").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("1 → 2")
    await expect(dialog).to_contain_text("changed")
    assert len(history(scene.visit, "canary")) == 1, "nothing starts before it is confirmed"
    await dialog.get_by_label("Name").fill("new head")
    await dialog.get_by_role("button", name="Start deployment").click()
    await expect(page.locator(".ef-events", has_text="in force")).to_contain_text("new head")
    assert json.loads((await first(manifest)).payload)["components"][0]["version"] == "2"
    await scene.visitor.photograph("cohort")
    [deployed, _] = history(scene.visit, "canary")
    assert deployed.versions == {"ai-model": "2"}
    assert store.cohorts.get(scene.visit.project_id, "canary").device_count == 2


async def test_what_a_canary_has_is_promoted_to_another_cohort(scene: Scene) -> None:
    page = scene.visitor.page
    await page.locator(".ef-promote").get_by_role("button", name="Review").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Deploy to production")
    await expect(dialog).to_contain_text("none → 2")
    await dialog.get_by_role("button", name="Start deployment").click()
    await expect(dialog).to_be_hidden()
    [promoted] = history(scene.visit, "production")
    assert promoted.versions == {"ai-model": "2"}


async def test_what_devices_with_a_pinned_key_would_refuse_is_not_started(scene: Scene) -> None:
    page, store, project = scene.visitor.page, scene.bench.cloud.store, scene.visit.project_id
    [promoted] = history(scene.visit, "production")
    signature = store.artifacts.create(project, SIGNATURE_PACKAGE, "7", b"by somebody's key")
    store.deployments.create(
        project, "production", "signed", [*promoted.artifact_ids, signature.id]
    )
    await page.locator(".ef-promote").get_by_role("button", name="Review").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("signature-missing")
    command = dialog.locator(".ef-command")
    await expect(command).to_have_text("edgeferry deploy --cohort production --version VERSION")
    await expect(dialog.get_by_role("button", name="Start deployment")).to_be_disabled()
    await scene.visitor.photograph("unsigned")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_be_hidden()


async def test_a_device_answers_a_call_and_shows_what_it_sent(scene: Scene) -> None:
    page = scene.visitor.page
    picture = (Path(demo.__file__).parent / "pictures/oranges/03.jpg").read_bytes()
    await scene.send("snapshot", snapshot(picture))
    for part in sample_parts(picture):
        await scene.send("samples", part)
    for number in range(3):
        await scene.send("metrics", metrics(number, "1", 0.8))
        await scene.send("metrics", metrics(number, "2", 0.9))
    await scene.send_log("camera stalled")
    await scene.visitor.go(f"/devices/{scene.device.id}")
    answering = asyncio.create_task(scene.answer_calls())
    await page.get_by_role("button", name="Status").click()
    answer = page.locator(".ef-answer")
    await expect(answer).to_contain_text("ok")
    await expect(answer).to_contain_text('"serving": true')
    await page.get_by_role("button", name="Explain").click()
    await expect(answer).to_contain_text("not found")
    answering.cancel()
    image = page.locator(".ef-figure img")
    assert await image.first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    await expect(page.locator(".ef-events li").first).to_contain_text("downloading")
    await scene.visitor.photograph("device")

    await page.get_by_role("tab", name="Metrics").click()
    await expect(page.locator(".ef-plain", has_text="version 2")).to_contain_text("90.0%")
    await expect(page.locator(".ef-chart canvas").first).to_be_visible()
    await scene.visitor.photograph("device-metrics")
    await page.get_by_role("tab", name="Samples").click()
    await expect(page.locator(".ef-gallery")).to_contain_text("oranges 51%")
    await scene.visitor.photograph("device-samples")
    await page.get_by_role("tab", name="Logs").click()
    await expect(page.locator(".ef-logs")).to_contain_text("camera stalled")
    await scene.send_log("camera is back")
    await expect(page.locator(".ef-logs li").first).to_contain_text("camera is back")


async def test_a_setting_is_made_for_all_and_changed_for_one(scene: Scene) -> None:
    page, store = scene.visitor.page, scene.bench.cloud.store
    await scene.visitor.go("/settings")
    await page.get_by_label("Key").fill("LOG_LEVEL")
    await page.get_by_label("Type").click()
    await page.get_by_role("option", name="integer").click()
    await page.get_by_label("Value").fill("many")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("alert")).to_contain_text("'many' is no integer")
    await page.get_by_label("Value").fill("60")
    await page.get_by_role("button", name="Create").click()
    await expect(page.locator(".ef-setting")).to_contain_text("LOG_LEVEL")
    await scene.visitor.photograph("settings")
    await scene.visitor.go(f"/devices/{scene.device.id}")
    await page.get_by_role("tab", name="Settings").click()
    await page.get_by_label("integer").fill("10")
    await page.get_by_role("button", name="Set for it").click()
    await expect(page.locator(".ef-setting")).to_contain_text("this device's own")
    assert store.settings.for_device(scene.device.id).values == {"LOG_LEVEL": 10}


async def test_two_releases_stand_beside_each_other(scene: Scene) -> None:
    page = scene.visitor.page
    await scene.visitor.go("/compare")
    row = page.locator(".ef-plain tr", has_text="Confidence")
    await expect(row).to_contain_text("80.0 %")
    await expect(row).to_contain_text("90.0 %")
    await expect(page.locator(".ef-command")).to_have_text("edgeferry compare --releases 1 2")
    await scene.visitor.photograph("compare")


async def test_who_is_signed_out_elsewhere_is_sent_to_the_form(scene: Scene) -> None:
    page = scene.visitor.page
    assert scene.visitor.complaints == [], "what the browser found wrong with all those pages"
    other = await page.context.new_page()
    await other.goto(scene.visitor.url)
    await other.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_title("Sign in · Edgeferry")
