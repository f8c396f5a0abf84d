from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.worker.camera.picture_sources import Drawn
from agent.worker.camera.source import Shot, Source
from agent.worker.camera.source_address import SourceAddress
from agent.worker.camera.sources import make_source
from agent.worker.errors import SourceError
from tests.support.worker_harness import running_worker


def source(address: str, **changes: Any) -> Source:
    how = {"frames_per_second": 30.0, "order": "sorted", "seed": 1, **changes}
    return make_source(SourceAddress.parse(address), **how)


def save(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((8, 8, 3), value, np.uint8))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for number in range(4):
        save(folder / "red" / f"{number}.png", number)
        save(folder / "green" / f"{number}.png", 100 + number)
    save(folder / "unlabelled.bmp", 200)
    (folder / "notes.txt").write_text("no picture")
    return folder


def played(opened: Source, count: int) -> list[Shot]:
    opened.open()
    shots = [opened.read() for _ in range(count)]
    opened.close()
    return shots


def test_a_folder_plays_its_pictures_in_order_over_and_over(pictures: Path) -> None:
    shots = played(source(f"dir:{pictures}"), 18)
    names = [shot.name for shot in shots]
    assert names[:9] == names[9:]
    assert names[:9] == sorted(str(name) for name in names[:9])


def test_a_sub_folder_is_the_label_of_its_pictures(pictures: Path) -> None:
    labels = {shot.name: shot.label for shot in played(source(f"dir:{pictures}"), 9)}
    assert labels["red/0.png"] == "red"
    assert labels["green/3.png"] == "green"
    assert labels["unlabelled.bmp"] is None


def test_a_seed_gives_an_order_of_its_own_and_always_the_same(pictures: Path) -> None:
    def order(seed: int) -> list[str | None]:
        opened = source(f"dir:{pictures}", order="shuffled", seed=seed)
        return [shot.name for shot in played(opened, 9)]

    assert order(1) == order(1) != order(2)
    assert sorted(map(str, order(1))) == sorted(map(str, order(2)))


def test_an_unreadable_picture_is_left_out(pictures: Path) -> None:
    (pictures / "green" / "0.png").write_bytes(b"rotten")
    names = [shot.name for shot in played(source(f"dir:{pictures}"), 16)]
    assert "green/0.png" not in names
    assert names[:8] == names[8:]


def test_a_folder_of_unreadable_pictures_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"rotten")
    opened = source(f"dir:{tmp_path}")
    opened.open()
    with pytest.raises(SourceError, match="no picture that OpenCV can read"):
        opened.read()


def test_a_film_starts_again_at_its_end(tmp_path: Path) -> None:
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for value in (0, 100, 200):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    shades = [round(float(shot.picture.mean()), -2) for shot in played(source(f"video:{film}"), 7)]
    assert shades == [0, 100, 200, 0, 100, 200, 0]


def test_drawn_pictures_carry_their_number() -> None:
    numbers = [Drawn.number_in(shot.picture) for shot in played(source("synthetic:"), 70)]
    assert numbers == list(range(70))


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("camera:97", "video97"),
        ("dir:/nowhere", "no folder /nowhere"),
        ("video:/nowhere.mp4", "no film /nowhere.mp4"),
    ],
)
def test_what_can_not_be_opened_is_told(address: str, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        source(address).open()


def test_a_folder_without_pictures_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no pictures"):
        source(f"dir:{tmp_path}").open()


def test_a_file_that_is_no_film_is_told(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"rotten" * 100)
    with pytest.raises(SourceError, match="no film"):
        source(f"video:{tmp_path / 'film.mp4'}").open()


@pytest.mark.parametrize("address", ["camera:", "camera:front", "dir:", "film:x", "", "synthetic"])
def test_an_unknown_address_lists_the_known_ones(address: str) -> None:
    with pytest.raises(SourceError, match=r"camera:N, .*video:PATH, dir:PATH or synthetic:"):
        SourceAddress.parse(address)


async def test_a_worker_without_its_camera_stays_up_and_says_so(tmp_path: Path) -> None:
    async with running_worker(tmp_path, source="camera:97") as worker:
        status = await worker.client.until(lambda now: now["source"]["state"] == "failed")
        assert "camera 97 cannot be opened" in status["source"]["detail"]


async def test_labelled_pictures_measure_accuracy(tmp_path: Path, pictures: Path) -> None:
    async with running_worker(tmp_path, source=f"dir:{pictures}", frames_per_second=100) as worker:
        await worker.serve("a")
        status = await worker.classified(20)
        results = (await worker.client.call("results", limit=1000))["results"]
    labelled = status["releases"]["a"]["labelled"]
    assert 0 < labelled["classified"] < status["classified"]
    # Grey pictures: the model answers "red" to each, as the lower of two equal scores.
    assert 0 < labelled["correct"] < labelled["classified"]
    named = [result for result in results if result["name"] and result["label"]]
    assert all(result["name"].startswith(result["label"] + "/") for result in named)
