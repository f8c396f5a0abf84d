"""The console in a real Chromium, with real devices behind it; one browser for all of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from aiocoap import POST
from playwright.async_api import expect

from localcloud.cloud import LocalCloud
from protocol.client import ClientLink
from protocol.report import OtaReport, OtaState, encode_report
from tests.localcloud.conftest import SETTINGS
from tests.support.browser import PATIENCE_MS, Visitor, visiting
from tests.support.cloud import Bench, TestDevice, request

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

expect.set_options(timeout=PATIENCE_MS)


class Scene:
    """A cloud with a canary cohort of two devices, one of them connected."""

    bench: Bench
    visitor: Visitor
    device: TestDevice
    link: ClientLink

    async def say(self, **document: object) -> None:
        """The device writes its state document."""
        body = json.dumps(document).encode()
        await self.link.request(request(POST, ".d/edgeferry", body, content_format=50))

    async def report(self, state: OtaState, version: str, target: str | None = None) -> None:
        """The device reports about its model."""
        body = encode_report(OtaReport("ai-model", state, version=version, target=target))
        await self.link.request(request(POST, ".u/c/ai-model", body, content_format=60))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("console")
    async with LocalCloud(folder / "cloud", SETTINGS) as cloud, AsyncExitStack() as stack:
        scene = Scene()
        scene.bench = Bench(cloud, stack)
        operator = scene.bench.operator
        cohort = await operator.cohort("canary")
        await operator.cohort("production")
        model = await operator.upload("ai-model", "1", bytes(1000))
        await operator.deploy(cohort, model["id"], name="first")
        scene.device = await operator.device("camera-1", cohort)
        await operator.device("camera-2", cohort)
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


async def test_the_browser_found_nothing_wrong(scene: Scene) -> None:
    assert scene.visitor.complaints == []
