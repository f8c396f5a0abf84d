"""The preview of a running worker, asked over HTTP as a browser and Prometheus ask it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from agent.worker.jpeg import encode_jpeg
from agent.worker.model.tensors import Picture
from agent.worker.notices import Notice
from agent.worker.preview.annotate import Caption, annotated
from agent.worker.preview.metrics import LatencyHistogram, Metrics
from agent.worker.preview.settings import PreviewSettings
from tests.support.browser import chromium
from tests.support.mjpeg_server import mjpeg_camera
from tests.support.tiny_models import TinyModel
from tests.support.worker_client import write_release
from tests.support.worker_harness import RunningWorker, assert_balanced, running_worker

PATHS = ("/", "/preview.css", "/preview.js", "/snapshot.jpg", "/status.json", "/metrics", "/no")
SERVING = '<p id="state" class="pill good">serving</p>'


@asynccontextmanager
async def previewed(
    state_dir: Path, caplog: pytest.LogCaptureFixture, **settings: Any
) -> AsyncIterator[tuple[RunningWorker, httpx.AsyncClient]]:
    """A worker, and a browser that knows the address it logged."""
    caplog.set_level("INFO")
    preview = PreviewSettings(on=True, listen="127.0.0.1:0", hosts=("Camera-7.lan",))
    async with running_worker(state_dir, **{"preview": preview, **settings}) as worker:
        (line,) = [m for m in caplog.messages if m.startswith("preview at ")]
        async with httpx.AsyncClient(base_url=line.removeprefix("preview at ")) as browser:
            yield worker, browser


async def status_of(browser: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await browser.get("/status.json")).json())


async def until(browser: httpx.AsyncClient, condition: Any) -> dict[str, Any]:
    while not condition(status := await status_of(browser)):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    return status


async def watch(browser: httpx.AsyncClient, pictures: int) -> bytes:
    """Watch the stream until that many whole pictures came."""
    seen = b""
    async with browser.stream("GET", "/stream.mjpg") as answer:
        assert answer.headers["content-type"].startswith("multipart/x-mixed-replace; boundary=")
        async for data in answer.aiter_raw():
            seen += data
            if seen.count(b"\r\n--edgeferry-frame\r\n") >= pictures:
                break
    return seen


def decoded(jpeg: bytes) -> np.ndarray[Any, Any]:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture)


async def test_pages_have_safe_headers_and_answer_to_known_names_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with previewed(tmp_path, caplog) as (_, browser):
        for path in PATHS:
            answer = await browser.get(path)
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'")
            assert "unsafe" not in policy
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert answer.status_code == (404 if path == "/no" else 200)
            rebound = await browser.get(path, headers={"Host": "evil.example:8080"})
            assert rebound.status_code == 421
        for host in (
            "localhost:1",
            "192.168.1.7",
            "[::1]:8080",
            "camera-7.lan",
            socket.gethostname(),
        ):
            assert (await browser.get("/status.json", headers={"Host": host})).status_code == 200
        for host in ("[::1", "", "localhost.evil.example"):
            assert (await browser.get("/status.json", headers={"Host": host})).status_code != 200


async def test_a_snapshot_shows_what_the_picture_was_taken_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with previewed(tmp_path, caplog) as (worker, browser):
        unserved = decoded((await browser.get("/snapshot.jpg")).content)
        await worker.serve("a")
        await worker.classified(5)
        reloaded = decoded((await browser.get("/snapshot.jpg")).content)
    assert unserved.shape == reloaded.shape == (480, 640, 3)
    band = reloaded[4:10, 600:].reshape(-1, 3).mean(0)  # the green banner, right of its text
    assert band[1] > 120 > band[2]
    assert abs(unserved[4:10, 600:].astype(int).mean() - 64) < 8


async def test_watchers_share_one_encoder_which_rests_when_they_are_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with previewed(tmp_path, caplog) as (worker, browser):
        await worker.serve("a")
        assert (await status_of(browser))["preview"] == {"watchers": 0, "encoded": 0}
        streams = await asyncio.gather(*(watch(browser, 8) for _ in range(4)))
        assert all(stream.count(b"\xff\xd8\xff") >= 8 for stream in streams)
        rested = await until(browser, lambda now: now["preview"]["watchers"] == 0)
        assert 8 <= rested["preview"]["encoded"] < 4 * 8
        before = rested["classified"]
        after = await until(browser, lambda now: now["classified"] > before + 20)
        # One picture may have been on its way when the last watcher left.
        assert after["preview"]["encoded"] <= rested["preview"]["encoded"] + 1


async def test_a_picture_that_cannot_be_shown_is_left_out_for_everybody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    flaws = iter([ValueError("made up"), MemoryError()])

    def flawed(picture: Picture) -> bytes:
        for flaw in flaws:
            raise flaw
        return encode_jpeg(picture)

    monkeypatch.setattr("agent.worker.preview.stream.encode_jpeg", flawed)
    async with previewed(tmp_path, caplog) as (worker, browser):
        await worker.serve("a")
        assert (await watch(browser, 2)).count(b"\xff\xd8\xff") >= 2
    told = [line for line in caplog.messages if "shown in the preview" in line]
    assert [line.rpartition("preview")[2] for line in told] == ["", " again"]


async def test_a_watcher_who_reads_nothing_holds_up_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with previewed(tmp_path, caplog) as (worker, browser):
        await worker.serve("a")
        port = browser.base_url.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(b"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await until(browser, lambda now: now["preview"]["watchers"] == 1)
        await watch(browser, 10)
        assert_balanced(await worker.classified(20))
        writer.close()
        await until(browser, lambda now: now["preview"]["watchers"] == 0)
        del reader


async def test_a_swap_and_the_way_back_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for release, version in (("aaaa", "1.0"), ("bbbb", "2%2F0")):
        folder = write_release(tmp_path, release, TinyModel())
        (folder / "version.txt").write_text(version + "\n")
    async with previewed(tmp_path, caplog) as (worker, browser):
        await worker.serve("aaaa")
        await worker.classified(1)
        await worker.serve("bbbb")
        told = await until(browser, lambda now: now["release"] == "bbbb")
        assert told["version"] == "2/0"
        newest = told["notices"][0]
        assert (newest["kind"], newest["title"]) == ("reloaded", "MODEL RELOADED")
        assert "1.0 (aaaa) → 2/0 (bbbb)" in newest["text"]
        await worker.classified(1)
        await worker.serve("aaaa")
        back = await until(browser, lambda now: now["release"] == "aaaa")
        assert back["notices"][0]["title"] == "WENT BACK"
        assert back["events"]["swaps"] == 3
        assert back["last"]["top"][0]["label"] in {"red", "green"}


async def test_a_lost_camera_is_told_until_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with mjpeg_camera() as camera:
        settings = {"source": camera.url, "stall_seconds": 0.5}
        async with previewed(tmp_path, caplog, **settings) as (_, browser):
            await until(browser, lambda now: now["source"]["state"] == "playing")
            camera.stall()
            lost = await until(browser, lambda now: now["notices"])
            assert lost["notices"][0]["title"] == "CAMERA LOST"
            assert "s3cret" not in (await browser.get("/metrics")).text + str(lost)
            camera.resume()
            back = await until(browser, lambda now: now["source"]["state"] == "playing")
            assert back["notices"][0]["title"] == "CAMERA BACK"


async def test_without_a_picture_the_page_is_there_and_the_snapshot_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.worker.preview.app.PATIENCE_SECONDS", 0.1)
    async with previewed(tmp_path, caplog, source="dir:/nowhere") as (_, browser):
        assert (await browser.get("/")).status_code == 200
        answer = await browser.get("/snapshot.jpg")
        assert (answer.status_code, "no picture" in answer.text) == (503, True)


async def test_metrics_are_prometheus_text_and_balance(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with previewed(tmp_path, caplog) as (worker, browser):
        await worker.serve("a")
        await worker.classified(20)
        text = (await browser.get("/metrics")).text
        figures = await status_of(browser)
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    classified = samples["edgeferry_release_frames_total", ("fate", "classified"), ("release", "a")]
    assert classified >= 20
    assert samples["edgeferry_release_confidence_count", ("release", "a")] == classified
    classes = [v for k, v in samples.items() if k[0] == "edgeferry_release_predictions_total"]
    assert sum(classes) == classified
    assert samples["edgeferry_latency_seconds_bucket", ("le", "+Inf")] == pytest.approx(
        classified, abs=5
    )
    assert samples["edgeferry_source_state", ("state", "playing")] == 1
    metrics = Metrics(LatencyHistogram())
    for state in ("waiting", "serving", "switching", "recovering"):
        shown = metrics.render({**figures, "state": state}).decode()
        assert f'edgeferry_worker_state{{state="{state}"}} 1.0' in shown
    assert samples[("edgeferry_swaps_total",)] == 1


async def test_a_port_in_use_is_told_and_the_worker_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        preview = PreviewSettings(on=True, listen=listen)
        async with running_worker(tmp_path, preview=preview) as worker:
            await worker.serve("a")
            await worker.classified(3)
    assert f"no preview: {listen} can't be listened on" in caplog.text


@pytest.mark.parametrize(
    "listen", ["8080", "host", "a:b", "1.2.3.4:99999", "http://a:1", "", "u@h:1"]
)
def test_an_address_without_a_port_is_refused(listen: str) -> None:
    with pytest.raises(ValidationError, match=r"no address like 127\.0\.0\.1:8080"):
        PreviewSettings(listen=listen)


@pytest.mark.parametrize(
    ("listen", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("cam:1", False),
    ],
)
def test_it_knows_whether_others_can_reach_it(listen: str, loopback: bool) -> None:
    assert PreviewSettings(listen=listen).loopback is loopback


@pytest.mark.parametrize("shape", [(1, 1), (2160, 3840), (3000, 3), (3, 3000), (97, 131)])
def test_pictures_of_any_shape_and_labels_in_any_letters_can_be_annotated(
    shape: tuple[int, int],
) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    notice = Notice("went-back", "WENT BACK", "größer → 小さい", 0.0)
    drawn = annotated(picture, Caption("Paprika, grün 小", 1.7, "1 (ab)", notice))
    assert max(drawn.shape) <= 1280
    assert not picture.any()


async def test_a_browser_shows_the_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tmp_path_factory: pytest.TempPathFactory
) -> None:
    screenshot = tmp_path / "preview.png"
    async with previewed(tmp_path, caplog) as (worker, browser):
        await worker.serve("a")
        for seconds in (4, 8, 16, 32):  # as long as the machine has other things to do
            profile = tmp_path_factory.mktemp("profile")
            page = await _open_in_chromium(str(browser.base_url), screenshot, profile, seconds)
            if SERVING in page:
                break
    assert SERVING in page
    assert (
        'id="live" alt="Live picture with what the model takes it for" src="/stream.mjpg?' in page
    )
    assert "red</span>" in page
    assert decoded(screenshot.read_bytes()).std() > 10


async def _open_in_chromium(url: str, screenshot: Path, profile: Path, seconds: int) -> str:
    """The page's document after so long: it never ends to load, because it shows a live picture."""
    flags = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(f"--user-data-dir={profile}", "--window-size=1280,800"),
        *(f"--timeout={seconds * 1000}", f"--screenshot={screenshot}", "--dump-dom"),
    )
    process = await asyncio.create_subprocess_exec(
        *(chromium(), *flags, url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(profile)},
    )
    page, _ = await process.communicate()
    return page.decode()
