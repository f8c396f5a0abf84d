"""Samples on their way to the cloud: when they may go, in what order, and what a cut costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiocoap import Code
from sqlite_utils import Migrations
from typer.testing import CliRunner

from agent.commands.device import device_app
from agent.journal import opening, schema
from agent.journal.journal import SqliteJournal
from agent.journal.opening import open_journal
from agent.journal.uploads import Spent
from agent.samples.store import Sample, SampleStore
from agent.samples.upload import SampleUploader, UploadRules
from agent.samples.upload_part import PART_BYTES
from agent.store.files import Files
from protocol.errors import LinkLost, ResponseError
from tests.agent.telemetry.conftest import JOURNAL, Cloud
from tests.support.json_outputs import read_output
from tests.support.samples import add_sample, jpeg, reassembled

SAMPLES = ("edgeferry", "samples")
ANY_NUMBER = UploadRules(on=True, bytes_per_day=0)


class Recorder:
    """A stream that keeps what it is sent, or refuses as told."""

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.refusal: Callable[[Any], Exception | None] = lambda _part: None

    async def wait_connected(self) -> None:
        return None

    async def stream(self, path: str, document: bytes) -> None:
        assert path == "/".join(SAMPLES)
        part = json.loads(document)
        if refusal := self.refusal(part):
            raise refusal
        self.parts.append(part)

    def order(self) -> list[tuple[str, int]]:
        return [(part["id"], part["part"]) for part in self.parts]


@pytest.fixture
def store(tmp_path: Path) -> SampleStore:
    return SampleStore(tmp_path, Files())


@pytest.fixture
def stream() -> Recorder:
    return Recorder()


@pytest.fixture
def day() -> list[str]:
    return ["2026-11-23"]


@pytest.fixture
def start(
    store: SampleStore, stream: Recorder, tmp_path: Path, day: list[str]
) -> Callable[..., SampleUploader]:
    """An uploader on the journal as it is; called again, the agent has been started again."""

    def start(rules: UploadRules = ANY_NUMBER) -> SampleUploader:
        return SampleUploader(
            rules,
            store,
            SqliteJournal(tmp_path / JOURNAL, lambda *_: []).uploads,
            stream,
            obstacle=lambda rules, spent: rules.obstacle("idle", None, spent),
            today=lambda: day[0],
        )

    return start


async def drain(uploader: SampleUploader) -> None:
    while await uploader.step():
        pass


async def test_they_arrive_whole_over_dtls_and_only_then_go(
    cloud: Cloud, journal: SqliteJournal, store: SampleStore
) -> None:
    pictures = {
        add_sample(store, picture): picture
        for picture in (jpeg(3 * PART_BYTES + 1, 1), jpeg(PART_BYTES, 2), b"\xff")
    }
    uploader = SampleUploader(
        ANY_NUMBER,
        store,
        journal.uploads,
        cloud.session(),
        obstacle=lambda *_: None,
        today=lambda: "today",
    )
    async with asyncio.timeout(60):
        await drain(uploader)
    parts = await cloud.stream(*SAMPLES)
    assert reassembled(parts) == pictures
    assert len(parts) == 6
    assert (parts[0]["why"], parts[0]["version"]) == ("audit", "2")
    assert parts[0]["top"] == [{"label": "red", "confidence": 0.5}]
    assert list(store.oldest_first()) == []
    assert journal.uploads.under_way() == []


async def test_the_newest_goes_first_and_one_begun_before_any_other(
    store: SampleStore, stream: Recorder, start: Callable[..., SampleUploader]
) -> None:
    old, new = (add_sample(store, jpeg(2 * PART_BYTES, seed)) for seed in (1, 2))
    await start().step()
    newest = add_sample(store, jpeg(PART_BYTES, 3))
    await drain(start())
    assert stream.order() == [(new, 0), (new, 1), (newest, 0), (old, 0), (old, 1)]


async def test_the_many_that_wait_are_not_read_for_the_one_that_goes(
    store: SampleStore,
    stream: Recorder,
    start: Callable[..., SampleUploader],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for seed in range(30):
        add_sample(store, jpeg(10, seed))
    read: list[str] = []
    find = store.find

    def noted(sample: str) -> Sample | None:
        read.append(sample)
        return find(sample)

    monkeypatch.setattr(store, "find", noted)
    await drain(start())
    assert read == [sample for sample, _ in stream.order()]
    assert len(read) == 30


async def test_a_cut_between_acknowledgement_and_journal_repeats_one_part(
    store: SampleStore,
    stream: Recorder,
    start: Callable[..., SampleUploader],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = jpeg(3 * PART_BYTES)
    sample = add_sample(store, picture)
    for _ in range(3):
        cut = start()
        monkeypatch.setattr(cut._uploads, "acknowledge", _power_cut)
        with pytest.raises(PowerCut):
            await cut.step()
        await start().step()
    assert stream.order() == [(sample, part) for part in (0, 0, 1, 1, 2, 2)]
    assert reassembled(stream.parts) == {sample: picture}
    assert list(store.oldest_first()) == []


class PowerCut(BaseException):
    pass


def _power_cut(*_: object) -> None:
    raise PowerCut


async def test_one_that_has_arrived_but_was_not_deleted_is_not_sent_again(
    store: SampleStore,
    stream: Recorder,
    start: Callable[..., SampleUploader],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_sample(store, jpeg(10))
    uploader = start()
    monkeypatch.setattr(uploader, "_finish", _power_cut)
    with pytest.raises(PowerCut):
        await uploader.step()
    await drain(start())
    assert len(stream.parts) == 1
    assert list(store.oldest_first()) == []


async def test_one_that_is_deleted_meanwhile_goes_no_further(
    store: SampleStore, stream: Recorder, start: Callable[..., SampleUploader]
) -> None:
    kept, deleted = (add_sample(store, jpeg(3 * PART_BYTES, seed)) for seed in (1, 2))
    uploader = start()
    await uploader.step()
    # By the quota, or by a person.
    store.delete(deleted)
    await drain(uploader)
    assert stream.order() == [(deleted, 0), (kept, 0), (kept, 1), (kept, 2)]
    assert uploader._uploads.under_way() == []


async def test_another_picture_of_the_same_id_begins_anew(
    store: SampleStore, stream: Recorder, start: Callable[..., SampleUploader]
) -> None:
    first = add_sample(store, jpeg(2 * PART_BYTES, 1))
    await start().step()
    store.delete(first)
    picture = jpeg(2 * PART_BYTES, 2)
    # The worker starts anew, and its clock stands still.
    assert add_sample(SampleStore(store.folder.parent, Files()), picture) == first
    await drain(start())
    assert reassembled(stream.parts) == {first: picture}


async def test_the_days_budget_holds_over_restarts_and_a_new_day_has_a_new_one(
    store: SampleStore,
    stream: Recorder,
    start: Callable[..., SampleUploader],
    day: list[str],
) -> None:
    add_sample(store, jpeg(10 * PART_BYTES))
    rules = UploadRules(on=True, bytes_per_day=3 * PART_BYTES)
    await drain(start(rules))
    # A part is sent as long as something is left.
    assert len(stream.parts) == 3
    await drain(start(rules))
    assert len(stream.parts) == 3
    day[0] = "2026-11-24"
    await drain(start(rules))
    assert len(stream.parts) == 6


async def test_what_the_server_will_never_take_does_not_stop_the_others(
    store: SampleStore, stream: Recorder, start: Callable[..., SampleUploader]
) -> None:
    fine, bad = (add_sample(store, jpeg(10, seed)) for seed in (1, 2))
    refused = ResponseError(Code.BAD_REQUEST, "no")
    stream.refusal = lambda part: refused if part["id"] == bad else None
    await drain(start())
    assert stream.order() == [(fine, 0)]
    assert [sample.id for sample in store.oldest_first()] == [bad]


async def test_a_lost_link_costs_one_attempt(
    store: SampleStore, stream: Recorder, start: Callable[..., SampleUploader]
) -> None:
    picture = jpeg(3 * PART_BYTES)
    sample = add_sample(store, picture)
    losses = iter([None, LinkLost("gone"), None, None])
    stream.refusal = lambda _part: next(losses)
    await drain(start())
    assert stream.order() == [(sample, 0), (sample, 1), (sample, 2)]


async def test_the_command_shows_how_far_they_are(
    store: SampleStore, start: Callable[..., SampleUploader], tmp_path: Path
) -> None:
    add_sample(store, jpeg(3 * PART_BYTES))
    await start().step()
    environment = {
        "EDGEFERRY_DEVICE__STATE_DIR": str(tmp_path),
        "EDGEFERRY_SAMPLES__UPLOAD": "true",
    }

    def command(*arguments: str) -> str:
        (tmp_path / "hold").write_text("everything")
        return CliRunner().invoke(device_app(), ["samples", *arguments], env=environment).output

    assert json.loads(command("--json"))[0]["sent"] == {"parts": 3, "acknowledged": 1}
    assert "1/3" in command()
    assert "nothing is sent now: download is on hold" in " ".join(command().split())


def test_commands_read_the_journal_of_an_agent_that_knew_no_uploads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = Migrations("edgeferry")
    names = [migration.name for migration in schema.migrations._migrations]
    older._migrations = schema.migrations._migrations[: names.index("telemetry")]
    with monkeypatch.context() as earlier:
        earlier.setattr(opening, "migrations", older)
        open_journal(tmp_path / JOURNAL).close()
    environment = {"EDGEFERRY_DEVICE__STATE_DIR": str(tmp_path)}
    status = CliRunner().invoke(device_app(), ["status", "--json"], env=environment).output
    assert read_output(["status"], status)["telemetry"] is None
    shown = CliRunner().invoke(device_app(), ["samples", "--json"], env=environment).output
    assert json.loads(shown) == []


@pytest.mark.parametrize(
    ("rules", "state", "closed", "spent", "why"),
    [
        (ANY_NUMBER, "idle", None, 10**12, None),
        (ANY_NUMBER, "held", None, 0, None),
        (ANY_NUMBER, "awaiting-retry", None, 0, None),
        (UploadRules(on=True, bytes_per_day=9), "idle", None, 8, None),
        (UploadRules(on=False, bytes_per_day=0), "idle", None, 0, "upload is off"),
        (ANY_NUMBER, "downloading", None, 0, "an update"),
        (ANY_NUMBER, "confirming", None, 0, "an update"),
        (ANY_NUMBER, "idle", "waits for its time", 0, "waits for its time"),
        (UploadRules(on=True, bytes_per_day=9), "idle", None, 9, "bytes_per_day"),
    ],
)
def test_when_they_may_go(
    rules: UploadRules, state: str, closed: str | None, spent: int, why: str | None
) -> None:
    obstacle = rules.obstacle(state, closed, Spent("today", spent))
    assert (why in (obstacle or "")) if why else obstacle is None
