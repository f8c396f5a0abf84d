"""Samples taken by a running worker."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from agent.commands.device import device_app
from agent.samples.settings import SampleSettings
from agent.samples.store import Sample, SampleStore
from agent.store.files import Files
from agent.worker import jpeg
from agent.worker.camera.picture_sources import Drawn
from agent.worker.jpeg import encode_jpeg
from tests.support.json_outputs import read_output
from tests.support.tiny_models import TinyModel
from tests.support.worker_client import Refused, write_release
from tests.support.worker_harness import RunningWorker, assert_balanced, running_worker

EAGER = {"on": True, "below": 1.0, "cooldown_seconds": 0.0}


def kept(state_dir: Path) -> list[Sample]:
    return list(SampleStore(state_dir, Files()).oldest_first())


def sampling(state_dir: Path, *, reserve_bytes: int = 0, **settings: Any) -> Any:
    samples = SampleSettings.model_validate({**EAGER, **settings})
    return running_worker(state_dir, samples=samples, reserve_bytes=reserve_bytes)


async def until_kept(worker: RunningWorker, count: int) -> dict[str, Any]:
    return await worker.client.until(lambda now: now["samples"]["kept"] >= count)


async def test_a_sample_is_the_very_picture_and_says_what_was_made_of_it(tmp_path: Path) -> None:
    folder = write_release(tmp_path, "a", TinyModel())
    (folder / "version.txt").write_text("1.2\n")
    async with sampling(tmp_path) as worker:
        await worker.serve("a")
        await until_kept(worker, 3)
    for sample in kept(tmp_path):
        picture = cv2.imread(str(sample.picture))
        assert picture is not None
        # Drawn pictures carry the number of the frame they were.
        assert Drawn.number_in(np.asarray(picture, np.uint8)) == sample.document["frame"]
        assert sample.document["why"] == "low-confidence"
        assert (sample.document["release"], sample.document["version"]) == ("a", "1.2")
        assert sample.document["source"] == "synthetic:"
        assert 0 < sample.confidence < 1
        assert len(sample.document["top"]) == 2
    environment = {"EDGEFERRY_DEVICE__STATE_DIR": str(tmp_path)}
    listed = CliRunner().invoke(device_app(), ["samples", "--json"], env=environment)
    assert read_output(["samples"], listed.stdout)[-1]["id"] == sample.id


async def test_nothing_is_kept_unless_asked_and_it_can_be_asked_at_any_time(tmp_path: Path) -> None:
    async with sampling(tmp_path, on=False) as worker:
        await worker.serve("a")
        await worker.classified(10)
        assert await worker.client.call("capture") == {
            "on": False,
            "kept": 0,
            "missed": 0,
            "trouble": None,
        }
        assert kept(tmp_path) == []
        assert (await worker.client.call("capture", on=True))["on"] is True
        await until_kept(worker, 1)
        assert (await worker.client.call("capture", on=False))["on"] is False
        with pytest.raises(Refused, match="on: Input should be a valid boolean"):
            await worker.client.call("capture", on="yes")


async def test_the_quota_holds_while_frames_balance(tmp_path: Path) -> None:
    async with sampling(tmp_path, quota_bytes=60_000) as worker:
        await worker.serve("a")
        status = await until_kept(worker, 12)
        assert_balanced(status)
    total = sum(file.stat().st_size for file in (tmp_path / "samples").iterdir())
    assert total <= 60_000
    assert "0000000001-" not in str(kept(tmp_path)[0].id)


async def test_a_full_disk_is_told_once_and_does_not_stop_the_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with sampling(tmp_path, reserve_bytes=1 << 60) as worker:
        await worker.serve("a")
        status = await worker.client.until(lambda now: now["samples"]["missed"] >= 3)
        assert "device.reserve_bytes" in status["samples"]["trouble"]
        assert_balanced(await worker.classified(10))
    assert kept(tmp_path) == []
    assert len([m for m in caplog.messages if "samples can't be kept" in m]) == 1


async def test_samples_are_kept_again_once_the_disk_allows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (tmp_path / "samples").write_text("in the way")
    async with sampling(tmp_path) as worker:
        await worker.serve("a")
        await worker.client.until(lambda now: now["samples"]["trouble"])
        await asyncio.to_thread((tmp_path / "samples").unlink)
        status = await until_kept(worker, 2)
        assert status["samples"]["trouble"] is None
    assert "samples are kept again" in caplog.messages


async def test_a_picture_that_takes_too_much_memory_costs_itself_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[Exception] = [MemoryError(), ValueError("nobody thought of this")]

    def encode(*args: Any) -> bytes:
        if failures:
            raise failures.pop(0)
        return encode_jpeg(*args)

    monkeypatch.setattr(jpeg, "encode_jpeg", encode)
    async with sampling(tmp_path) as worker:
        await worker.serve("a")
        status = await until_kept(worker, 2)
        assert_balanced(status)
    assert status["samples"]["missed"] >= 2
    assert status["samples"]["trouble"] is None
    assert "nobody thought of this" in caplog.text


async def test_a_worker_started_again_clears_what_a_power_cut_left(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    half = tmp_path / "samples" / "0000000001-20261123T210000Z.jpg"
    half.write_bytes(b"half")
    async with sampling(tmp_path) as worker:
        await worker.serve("a")
        await until_kept(worker, 1)
    assert not half.exists()
