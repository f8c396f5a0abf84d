"""Cameras that stall, go away, crash or talk nonsense; the capture process is a real one."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from agent.config import load_settings
from agent.errors import ConfigurationError
from agent.worker.camera.capture import Capture, SourceStatus
from agent.worker.camera.frames import Frame, FrameStore
from agent.worker.camera.mailbox import Mailbox
from agent.worker.camera.picture_sources import Drawn
from agent.worker.camera.source_address import SourceAddress
from agent.worker.errors import SourceError
from agent.worker.settings import WorkerSettings
from tests.support.mjpeg_server import MjpegCamera, mjpeg_camera
from tests.support.rtsp_server import rtsp_camera
from tests.support.worker_harness import assert_balanced, running_worker


class Bench:
    """A capture and what comes out of it."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.store = FrameStore()
        self.mailbox = Mailbox(self.store)
        self._arrived = asyncio.Event()
        self.mailbox.arrived = self._arrived.set
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.capture = Capture(settings, self.store, self.mailbox, self.events.put_nowait)

    async def take(self) -> tuple[int, int]:
        """Number of the next frame, and the number drawn into it."""
        frame = await self.frame()
        drawn = Drawn.number_in(self.store.view(frame))
        self.store.release(frame)
        return frame.number, drawn

    async def frame(self) -> Frame:
        """The next frame, whose slot is now the caller's."""
        while (frame := self.mailbox.take()) is None:
            self._arrived.clear()
            await self._arrived.wait()
        return frame

    async def event(self, name: str) -> dict[str, Any]:
        event = await self.events.get()
        assert event["event"] == name
        return event

    @property
    def pid(self) -> int:
        """The capture process."""
        me = os.getpid()
        children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
        (pid,) = [
            pid
            for pid in children
            if b"capture_process" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        return int(pid)


def told_to_everybody(pid: int) -> str:
    """What a list of processes shows of one."""
    files = [Path(f"/proc/{pid}/{name}") for name in ("cmdline", "environ")]
    return "".join(file.read_bytes().decode() for file in files)


@asynccontextmanager
async def capturing(source: str, **settings: Any) -> AsyncIterator[Bench]:
    bench = Bench(WorkerSettings(source=source, **{"stall_seconds": 0.5, **settings}))
    running = asyncio.create_task(bench.capture.run())
    yield bench
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    bench.store.close()


@pytest.fixture
async def camera() -> AsyncIterator[MjpegCamera]:
    async with mjpeg_camera() as camera:
        yield camera


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.worker.camera.capture.FIRST_RETRY_SECONDS", 0.02)


async def test_a_stream_over_http_gives_pictures(camera: MjpegCamera) -> None:
    async with capturing(camera.url) as bench:
        taken = [await bench.take() for _ in range(10)]
        assert bench.capture.status.state == "playing"
    assert [number for number, _ in taken] == sorted({number for number, _ in taken})
    assert [drawn for _, drawn in taken] == sorted({drawn for _, drawn in taken})


async def test_a_stream_over_rtsp_gives_pictures_over_tcp() -> None:
    async with rtsp_camera() as camera, capturing(camera.url) as bench:
        taken = [await bench.take() for _ in range(5)]
        assert [drawn for _, drawn in taken] == sorted({drawn for _, drawn in taken})
    assert "RTP/AVP/TCP" in camera.transport


async def test_after_a_backlog_pictures_are_new_again(camera: MjpegCamera) -> None:
    async with capturing(camera.url, stall_seconds=5) as bench:
        await bench.take()
        camera.send_to_all(b"".join(camera.picture() for _ in range(60)))
        # A reader that waits for each picture to be used would stay 60 behind for ever.
        while camera.drawn - (await bench.take())[1] > 3:
            pass


async def test_a_stalled_camera_is_told_of_and_opened_again(camera: MjpegCamera) -> None:
    async with capturing(camera.url) as bench:
        before, _ = await bench.take()
        camera.stall()
        failed = await bench.event("source-failed")
        assert failed["state"] == bench.capture.status.state == "stalled"
        assert "has given no picture for 0.5 s" in failed["detail"]
        camera.resume()
        recovered = await bench.event("source-recovered")
        assert recovered["seconds"] >= 0
        assert (await bench.take())[0] > before
        assert bench.capture.status == SourceStatus(
            recovered["source"], "playing", None, recovered=1
        )
    assert camera.connections >= 2


async def test_a_camera_that_hangs_up_is_opened_again_until_it_is_back(
    camera: MjpegCamera, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with capturing(camera.url) as bench:
        await bench.take()
        camera.refusing = True
        camera.hang_up()
        await bench.event("source-failed")
        await camera.refused(3)
        camera.refusing = False
        await bench.event("source-recovered")
        assert bench.events.empty()
    # The end of the stream and the refusal: each is logged once, however often it was tried.
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 2


async def test_garbage_between_pictures_is_survived(camera: MjpegCamera) -> None:
    async with capturing(camera.url) as bench:
        before, _ = await bench.take()
        camera.send_to_all(os.urandom(50_000))
        while (await bench.take())[0] < before + 20:
            pass


@pytest.mark.parametrize("accident", [signal.SIGSTOP, signal.SIGSEGV, signal.SIGKILL])
async def test_a_read_that_never_returns_and_a_crash_of_the_decoder_are_survived(
    accident: signal.Signals,
) -> None:
    async with capturing("synthetic:") as bench:
        before, _ = await bench.take()
        first = bench.pid
        os.kill(first, accident)
        failed = await bench.event("source-failed")
        assert failed["state"] == ("stalled" if accident == signal.SIGSTOP else "failed")
        await bench.event("source-recovered")
        assert (await bench.take())[0] > before
        assert bench.pid != first
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        for _ in range(30):  # no slot was lost with the process
            await bench.take()


async def test_frames_balance_while_the_camera_comes_and_goes(
    tmp_path: Path, camera: MjpegCamera
) -> None:
    async with running_worker(tmp_path, source=camera.url, stall_seconds=0.5) as worker:
        await worker.serve("a")
        for seen in (5, 30):
            await worker.classified(seen)
            camera.hang_up()
            await worker.client.event("source-recovered")
        assert_balanced(await worker.client.call("status"))


async def test_the_password_of_a_stream_is_nowhere_to_be_seen(
    tmp_path: Path, camera: MjpegCamera, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = ""
    async with capturing(camera.url) as bench:
        await bench.take()
        shown += told_to_everybody(bench.pid)
        camera.refusing = True
        camera.hang_up()
        shown += str(await bench.event("source-failed")) + str(bench.capture.status)
    shown += repr(WorkerSettings(source=camera.url)) + repr(SourceAddress.parse(camera.url))
    assert "127.0.0.1" in shown
    assert "s3cret" not in shown + caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:p%40ss@cam.lan:554/live?x=p", "rtsp://cam.lan:554/live?…"),
        ("https://cam.lan/a.m3u8#p", "https://cam.lan/a.m3u8"),
        ("RTSPS://u@[::1]:8554/a", "rtsps://[::1]:8554/a"),
    ],
)
def test_an_address_shows_its_place_alone(text: str, shown: str) -> None:
    address = SourceAddress.parse(text)
    assert (address.kind, str(address)) == ("stream", shown)
    assert address.target.endswith(text.partition(":")[2])


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://user:pa ss@cam/",
        "rtsp://user:pass@cam:port/",
        "http://user:pass@/",
        "rtsp://user:pass@[cam/",
        "rtmp://user:pass@cam/",
        "http:user:pass@cam",
    ],
)
def test_an_unusable_address_is_told_without_its_password(tmp_path: Path, text: str) -> None:
    with pytest.raises(SourceError) as told:
        SourceAddress.parse(text)
    assert "pass" not in str(told.value).replace("password", "")
    config = tmp_path / "agent.toml"
    config.write_text(f'[worker]\nsource = "{text}"\n')
    with pytest.raises(ConfigurationError, match=r"worker\.source") as refused:
        load_settings(config)
    assert "user" not in str(refused.value)


@pytest.mark.skipif(not Path("/dev/video0").exists(), reason="this machine has no camera")
def test_a_v4l2_camera_gives_pictures() -> None:
    asyncio.run(_take_from_camera())


async def _take_from_camera() -> None:
    async with capturing("camera:0", stall_seconds=5) as bench:
        frame = await bench.frame()
        assert frame.height * frame.width > 0
