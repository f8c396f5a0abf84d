"""``edgeferry samples pull`` from a real local cloud's stream, as devices fill it."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.samples.store import SampleStore
from agent.samples.upload_part import Picture
from agent.store.files import Files
from provisioning.management import Management
from provisioning.resources import StreamEntry
from provisioning.sample_parts import SAMPLES_PATH, Assembler, PulledSample
from tests.support.provisioning import BackgroundCloud, Operator, Run
from tests.support.telemetry import stream

PART = 12 << 10
Json = dict[str, Any]


def picture(number: int, size: int = 40_000) -> bytes:
    return b"\xff\xd8\xff" + hashlib.sha256(bytes([number])).digest() * (size // 32)


def parts(number: int, label: str = "oranges", *, jpeg: bytes = b"", **more: Any) -> list[Json]:
    """The documents of one picture, as docs/telemetry.md has them."""
    whole = jpeg or picture(number)
    pieces = [whole[at : at + PART] for at in range(0, len(whole), PART)]
    known = {
        "format": 1,
        "id": f"{number:010d}-20261123T210000Z",
        "parts": len(pieces),
        "sha256": hashlib.sha256(whole).hexdigest(),
        "taken_at": "2026-11-23T21:00:00.000Z",
        "why": "low-confidence",
        "release": "abcd",
        "version": "2",
        "name": None,
        "top": [{"label": label, "confidence": 0.51}, {"label": "other", "confidence": 0.3}],
        **more,
    }
    return [
        {**known, "part": i, "data": base64.b64encode(piece).decode()}
        for i, piece in enumerate(pieces)
    ]


@dataclass
class Puller:
    """An operator, and a cohort of one device for each test."""

    operator: Operator
    cloud: BackgroundCloud
    cohort: str
    device: str
    folder: Path

    def send(self, documents: list[Json]) -> None:
        stream(self.cloud, self.device, SAMPLES_PATH, documents)

    def run(self, *options: str) -> Run:
        output = ("--output", str(self.folder), "--cohort", self.cohort)
        return self.operator.edgeferry("samples", "pull", *output, *options)

    def pull(self) -> Json:
        run = self.run("--json")
        assert run.status == 0, run.error
        return dict(run.document)

    def rows(self) -> list[dict[str, str]]:
        with (self.folder / "samples.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def labels(self) -> list[Json]:
        return list(json.loads((self.folder / "info.labels").read_text())["files"])

    def files(self) -> dict[str, int]:
        found = self.folder.rglob("*.jpg")
        return {str(path.relative_to(self.folder)): path.stat().st_ino for path in found}


@pytest.fixture(scope="module")
def management(running_cloud: BackgroundCloud) -> Iterator[Management]:
    with running_cloud.management() as management:
        yield management


@pytest.fixture
def puller(
    connected: Operator,
    running_cloud: BackgroundCloud,
    management: Management,
    tmp_path: Path,
    own_name: str,
) -> Puller:
    cohort = management.create_cohort(own_name)
    device = management.create_device(f"camera-{own_name}", cohort_id=cohort).id
    return Puller(connected, running_cloud, cohort, device, tmp_path / "pulled")


def test_pictures_arrive_whole_with_all_that_is_known_of_them(puller: Puller) -> None:
    puller.send([*parts(1), *parts(2, "bell pepper"), *parts(3, "a/b", known_label="truth")])
    found = puller.pull()
    assert (found["new"], found["there"], found["unfinished"]) == (3, 3, [])
    rows = {row["id"][:10]: row for row in puller.rows()}
    for number, label in ((1, "oranges"), (2, "bell pepper"), (3, "truth")):
        row = rows[f"{number:010d}"]
        assert row["label"] == label
        path = puller.folder / row["file"]
        assert path.read_bytes() == picture(number)
        assert path.parent.name == label
        assert path.name.startswith(f"{label}.")
    assert rows["0000000003"]["predicted"] == "a/b"
    assert rows["0000000001"]["confidence"] == "0.51"
    assert rows["0000000001"]["why"] == "low-confidence"
    assert rows["0000000001"]["device"].startswith("camera-")
    labels = {each["name"].split(".")[0]: each for each in puller.labels()}
    assert labels["truth"]["label"] == {"type": "label", "label": "truth"}
    assert labels["truth"]["metadata"]["predicted"] == "a/b"
    assert all((puller.folder / each["path"]).is_file() for each in labels.values())
    lines = (puller.folder / "samples.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["top"][1] == {"label": "other", "confidence": 0.3}


def test_what_a_device_makes_of_its_samples_is_what_is_pulled(
    puller: Puller, tmp_path: Path
) -> None:
    store = SampleStore(tmp_path / "device", Files())
    known = parts(1, "bell pepper", name="shelf.jpg")[0]
    store.add(picture(1), known, "20261123T210000Z")
    (sample,) = store.oldest_first()
    whole = Picture(sample, picture(1))
    puller.send([json.loads(whole.part(number)) for number in range(whole.parts)])
    assert puller.pull()["new"] == 1
    (row,) = puller.rows()
    assert (puller.folder / row["file"]).read_bytes() == picture(1)
    assert (row["label"], row["name"], row["id"]) == ("bell pepper", "shelf.jpg", sample.id)


def test_what_is_missing_repeated_or_damaged_is_told_and_may_come_later(puller: Puller) -> None:
    whole, lacking, damaged = parts(1), parts(2), parts(3)
    good = damaged[1]["data"]
    damaged[1] = damaged[1] | {"data": base64.b64encode(b"something else").decode()}
    # Repeated, out of order, and pieces of others in between.
    puller.send([whole[2], lacking[3], whole[0], *damaged, whole[2], whole[1], *lacking[1:]])
    puller.send([whole[3]])
    puller.send([{"format": 1, "id": "no picture"}, {"format": 2, "id": "of the future"}])
    found = puller.pull()
    assert (found["new"], found["unreadable"]) == (1, 2)
    assert [(each["id"][:10], each["outcome"]) for each in found["unfinished"]] == [
        ("0000000002", "incomplete"),
        ("0000000003", "damaged"),
    ]
    assert found["unfinished"][0]["detail"] == "3 of 4 parts, missing 0"
    shown = puller.run().output
    assert "missing 0" in shown
    assert "0 new pictures, 1 in all" in shown
    puller.send([lacking[0], damaged[1] | {"data": good}])
    found = puller.pull()
    assert (found["new"], found["there"], found["unfinished"]) == (2, 3, [])
    found_pictures = {row["id"][:10]: row["file"] for row in puller.rows()}
    for number in (1, 2, 3):
        file = puller.folder / found_pictures[f"{number:010d}"]
        assert file.read_bytes() == picture(number)


def test_a_hash_that_is_right_for_no_picture_is_damage(puller: Puller) -> None:
    puller.send(parts(1, jpeg=b"GIF89a"))
    (left,) = puller.pull()["unfinished"]
    assert left["outcome"] == "damaged"


def test_pulling_again_fetches_only_what_is_new_and_keeps_what_people_did(puller: Puller) -> None:
    puller.send([*parts(1), *parts(2), *parts(3)])
    puller.pull()
    before = puller.files()
    first, second, third = sorted(before)
    (puller.folder / "not oranges").mkdir()
    moved = puller.folder / "not oranges" / Path(first).name
    (puller.folder / first).rename(moved)
    (puller.folder / second).unlink()
    puller.send([*parts(1), *parts(2), *parts(4)])
    found = puller.pull()
    assert (found["new"], found["there"]) == (1, 4)
    after = puller.files()
    assert after[third] == before[third]
    assert second not in after
    assert len(after) == 3
    labels = {row["id"][:10]: row["label"] for row in puller.rows()}
    assert labels == {
        "0000000001": "not oranges",
        "0000000003": "oranges",
        "0000000004": "oranges",
    }
    assert {each["path"] for each in puller.labels()} == set(after)
    # A third time changes nothing at all.
    assert puller.pull()["new"] == 0
    assert puller.files() == after


def test_a_pull_that_was_cut_off_goes_on(puller: Puller) -> None:
    puller.send([*parts(1), *parts(2)])
    puller.pull()
    lines = (puller.folder / "samples.jsonl").read_bytes()
    # As a power cut leaves it: half a line, and nothing known of how far it went.
    (puller.folder / "samples.jsonl").write_bytes(lines[: len(lines) - 20])
    (puller.folder / ".resume.json").unlink()
    found = puller.pull()
    assert (found["new"], found["there"]) == (1, 2)
    assert len(puller.files()) == 2


def test_only_the_cohort_is_pulled_and_a_strange_folder_is_left_alone(
    puller: Puller, management: Management
) -> None:
    other = management.create_device(f"other-{puller.cohort}").id
    stream(puller.cloud, other, SAMPLES_PATH, parts(7))
    assert puller.pull()["new"] == 0
    strange = puller.folder.parent / "strange"
    strange.mkdir()
    (strange / "letter.txt").write_text("dear")
    run = puller.operator.edgeferry("samples", "pull", "--output", str(strange))
    assert run.status == 2
    assert "holds something else" in run.error
    puller.folder.joinpath("samples.jsonl").write_text("{}\n")
    run = puller.run()
    assert run.status == 2
    assert "samples.jsonl, line 1" in run.error


def entry(document: Any) -> StreamEntry:
    return StreamEntry.model_validate(
        {"time": "2026-11-23T21:00:00Z", "deviceId": "d", "document": document}
    )


@given(order=st.permutations(range(4)), again=st.lists(st.integers(0, 3), max_size=4))
def test_parts_make_a_picture_once_in_any_order(order: list[int], again: list[int]) -> None:
    documents, assembler = parts(1), Assembler()
    made = [
        sample
        for number in [*again, *order, *again]
        if (sample := assembler.take(entry(documents[number])))
    ]
    (only,) = made
    assert isinstance(only, PulledSample)
    assert only.jpeg == picture(1)
    assert assembler.left_of("d") == []


@given(
    change=st.dictionaries(
        st.sampled_from(sorted(parts(1)[0])),
        st.none() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=2),
        min_size=1,
        max_size=3,
    )
)
def test_any_document_is_a_part_or_left_out(change: Json) -> None:
    documents, assembler = parts(1), Assembler()
    taken = [assembler.take(entry(each)) for each in (documents[0] | change, *documents)]
    assert [sample.jpeg for sample in taken if sample] == [picture(1)]
    is_of_another = bool(change.keys() & {"id", "sha256"})
    assert len(assembler.left_of("d")) <= is_of_another
