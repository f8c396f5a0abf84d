"""From the worker's status to what the law judges by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.config import DeviceSettings, Settings
from agent.control.parameters import Parameters
from agent.control.server import ControlServer
from agent.parts import open_store, worker_of
from agent.worker_port.errors import WorkerProtocolError
from agent.worker_port.figures import FigureReader
from states.ports import Postponed
from states.reasons import Transient

SIDE = {
    "captured": 40,
    "classified": 40,
    "dropped": 0,
    "errors": 0,
    "inference_ms": {"p50": 1.5, "p95": 2.5},
    "confidence": {"mean": 0.9, "histogram": [0] * 10},
    "classes": {"red": 40},
    "changes": 7,
}
STATUS: dict[str, Any] = {
    "instance": "one",
    "release": "new",
    "releases": {
        "new": {**SIDE, "captured": 50, "classified": 45, "dropped": 5},
        "old": {**SIDE, "captured": 900, "classified": 800, "dropped": 100},
    },
    "fell_back": None,
    "comparison": {
        "release": "new",
        "previous": "old",
        "compared": 40,
        "agreed": 39,
        "same_frames": True,
        "shadowing": True,
        "why_not": None,
        "candidate": SIDE,
        "previous_side": SIDE,
        "later_half": {
            "compared": 20,
            "agreed": 19,
            "candidate": {**SIDE, "captured": 20, "classified": 20},
            "previous_side": SIDE,
        },
    },
}


@pytest.fixture
def reader(tmp_path: Path) -> FigureReader:
    for release, labels in (("new", "green\nred\n"), ("old", "red\ngreen\n")):
        (tmp_path / release).mkdir()
        (tmp_path / release / "labels.txt").write_text(labels)
    return FigureReader(tmp_path, "labels.txt")


def test_counters_are_of_each_releases_own_time_and_the_rest_of_what_is_compared(
    reader: FigureReader,
) -> None:
    beside = reader.read(STATUS).comparison
    assert beside is not None
    assert (beside.candidate.captured, beside.candidate.dropped) == (50, 5)
    assert (beside.previous_side.captured, beside.previous_side.dropped) == (900, 100)
    assert (beside.compared, beside.agreed, beside.candidate.inference_p95_ms) == (40, 39, 2.5)
    assert beside.previous_side.changes == 7


def test_the_later_half_has_counters_of_its_own(reader: FigureReader) -> None:
    whole = reader.read(STATUS).comparison
    assert whole is not None
    half = whole.later_half
    assert half is not None
    assert (half.release, half.compared, half.agreed) == ("new", 20, 19)
    assert (half.candidate.captured, half.candidate.dropped) == (20, 0)


def test_the_same_labels_in_another_order_are_the_same_set(
    reader: FigureReader, tmp_path: Path
) -> None:
    beside = reader.read(STATUS).comparison
    assert beside is not None
    assert beside.same_labels
    (tmp_path / "newest").mkdir()
    (tmp_path / "newest" / "labels.txt").write_text("red\ngreen\nblue\n")
    newer = {**STATUS, "comparison": {**STATUS["comparison"], "release": "newest"}}
    beside = reader.read(newer).comparison
    assert beside is not None
    assert not beside.same_labels


def test_labels_that_nobody_can_read_are_not_called_the_same(reader: FigureReader) -> None:
    gone = {**STATUS["comparison"], "release": "gone", "previous": "lost"}
    beside = reader.read({**STATUS, "comparison": gone}).comparison
    assert beside is not None
    assert not beside.same_labels


async def test_the_labels_are_looked_for_under_the_name_the_store_gives_them(
    tmp_path: Path,
) -> None:
    device = DeviceSettings(state_dir=tmp_path, labels_package="my labels")
    settings = Settings(device=device)
    for release, labels in (("new", "red\nblue\n"), ("old", "red\ngreen\n")):
        (tmp_path / "releases" / release).mkdir(parents=True)
        (tmp_path / "releases" / release / "my%20labels.txt").write_text(labels)

    async def status(_parameters: Parameters) -> dict[str, Any]:
        return STATUS

    server = ControlServer()
    server.listen(settings.worker.socket_path(tmp_path), group=False)
    await server.serve({"status": status})
    figures = await worker_of(settings, open_store(settings)).figures()
    await server.close()
    assert figures.comparison is not None
    assert not figures.comparison.same_labels


def test_a_worker_that_went_back_says_from_what_and_why(reader: FigureReader) -> None:
    fell_back = {"from": "new", "to": "old", "reason": "model-crashed", "detail": "signal 11"}
    figures = reader.read({**STATUS, "release": "old", "fell_back": fell_back})
    assert (figures.serving, figures.fell_back_from) == ("old", "new")
    assert figures.fell_back_because == "model-crashed: signal 11"
    assert figures.fell_back_for is None
    late = {**fell_back, "reason": "engine-late", "detail": "silent for 1 s"}
    assert reader.read({**STATUS, "fell_back": late}).fell_back_for is Transient.ENGINE_LATE
    assert figures.instance == "one"
    nothing = reader.read({**STATUS, "release": None, "comparison": None})
    assert (nothing.serving, nothing.captured, nothing.comparison) == (None, 0, None)


@pytest.mark.parametrize(
    "odd",
    [
        {"release": 7},
        {"releases": {"new": {"captured": "many"}}},
        {"comparison": {"release": "new"}},
        {"comparison": {**STATUS["comparison"], "later_half": {"compared": 20}}},
    ],
)
def test_a_status_of_another_form_is_that_of_a_worker_nobody_gets_on_with(
    reader: FigureReader, odd: dict[str, Any]
) -> None:
    with pytest.raises(Postponed, match=next(iter(odd))) as refused:
        reader.read({**STATUS, **odd})
    assert isinstance(refused.value, WorkerProtocolError)
    assert refused.value.reason is Transient.WORKER_AWAY
