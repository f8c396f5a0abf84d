"""A real Chromium that looks at the console."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from playwright.async_api import ConsoleMessage, Error, Page, async_playwright

from tests.support.screenshots import SCREENSHOTS
from tests.support.waiting import PATIENCE, until

LAPTOP, PHONE = (1280, 800), (390, 844)
PATIENCE_MS = PATIENCE * 1000
FITS = "document.documentElement.scrollWidth <= window.innerWidth"


@dataclass
class Visitor:
    """A person at the console. ``complaints`` are what the browser found wrong with its pages."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    async def sign_in(self, key: str) -> None:
        """Type a key into the form."""
        await self.page.fill("#key", key)
        await self.page.get_by_role("button", name="Sign in").click()

    async def go(self, path: str) -> None:
        """Open a page of the console."""
        await self.page.goto(self.url + path)
        await self.page.wait_for_selector(".ef-page")

    async def photograph(self, name: str) -> None:
        """Keep what the page looks like on a laptop and on a phone."""
        for width, height in (LAPTOP, PHONE):
            await self.page.set_viewport_size({"width": width, "height": height})
            # Charts fit themselves to a new width in a moment.
            try:
                await until(lambda: self.page.evaluate(FITS))
            except TimeoutError:
                raise AssertionError(f"{name} is wider than {width}") from None
            await self.page.screenshot(path=SCREENSHOTS / f"{name}-{width}.png", full_page=True)
        await self.page.set_viewport_size({"width": LAPTOP[0], "height": LAPTOP[1]})


def chromium() -> str:
    """Where the browser is; skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium here; apt-get install chromium")
    return found


@asynccontextmanager
async def visiting(url: str) -> AsyncIterator[Visitor]:
    """A browser on the sign-in page of the console at ``url``."""
    executable = chromium()
    SCREENSHOTS.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        context = await browser.new_context(viewport={"width": LAPTOP[0], "height": LAPTOP[1]})
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        visitor = Visitor(page, url)

        def hear(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                visitor.complaints.append(message.text)

        def fail(error: Error) -> None:
            visitor.complaints.append(str(error))

        page.on("console", hear)
        page.on("pageerror", fail)
        await page.goto(url)
        yield visitor
        await browser.close()
