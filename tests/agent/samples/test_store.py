"""Samples on disk: whole or not at all, the oldest first, whoever else is at work there."""

from __future__ import annotations

import csv
import json
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.commands.device import device_app
from agent.samples.export import FolderNotEmpty, export_samples
from agent.samples.store import SampleStore
from agent.samples.training_folder import folder_label, label_folder
from agent.store.files import Files
from states.ports import Postponed
from tests.support.samples import AT, described

UMASK = os.umask(0o022)
os.umask(UMASK)

KEEP_ADDING = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from agent.samples.store import SampleStore
from agent.store.files import Files
store = SampleStore(Path(sys.argv[1]), Files())
while True:
    store.add(b"x" * 100_000, {"top": [{"label": "a", "confidence": 0.5}]}, "20261123T210000Z")
    print(flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> SampleStore:
    return SampleStore(tmp_path, Files())


def add(store: SampleStore, size: int = 10, **changes: Any) -> str:
    return store.add(b"\xff" * size, described(**changes), AT)


def ids(store: SampleStore) -> list[str]:
    return [sample.id for sample in store.oldest_first()]


def bytes_taken(store: SampleStore) -> int:
    return sum(file.stat().st_size for file in store.folder.iterdir())


def test_a_number_is_not_given_away_again(store: SampleStore) -> None:
    first = add(store)
    store.delete(first)
    assert add(store) > first


def test_samples_come_oldest_first_and_nobody_else_may_read_them(store: SampleStore) -> None:
    added = [add(store) for _ in range(12)]
    assert ids(store) == added == sorted(added)
    for file in store.folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    sample = next(store.oldest_first())
    assert (sample.label, sample.confidence) == ("red", 0.5)
    assert sample.picture.read_bytes() == b"\xff" * 10


def test_where_agent_and_worker_are_two_users_their_group_may_read(tmp_path: Path) -> None:
    store = SampleStore(tmp_path, Files(), group=True)
    add(store)
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o770 & ~UMASK
    assert {stat.S_IMODE(file.stat().st_mode) for file in store.folder.iterdir()} == {0o640}


@pytest.mark.parametrize("text", ["../state", "", ".", "0000000001-20261123T210000Z/../x"])
def test_a_text_that_is_no_id_deletes_nothing(store: SampleStore, text: str) -> None:
    add(store)
    (store.folder.parent / "state.json").write_text("precious")
    store.delete(text)
    assert (store.folder.parent / "state.json").exists()
    assert len(ids(store)) == 1


def test_a_folder_that_is_not_there_holds_no_samples(store: SampleStore) -> None:
    assert ids(store) == []
    store.clean()
    store.make_room(0)


def test_numbers_go_on_after_old_samples_went(store: SampleStore) -> None:
    first, second = add(store), add(store)
    store.delete(first)
    assert add(store) > second


def test_room_is_made_at_the_expense_of_the_oldest(store: SampleStore) -> None:
    added = [add(store, size=1000) for _ in range(5)]
    total = bytes_taken(store)
    store.make_room(total)
    assert ids(store) == added
    store.make_room(total - 1)
    assert ids(store) == added[1:]
    store.make_room(0)
    assert list(store.folder.iterdir()) == []


def test_what_arrived_goes_and_may_go_twice(store: SampleStore) -> None:
    add(store)
    (sample,) = store.oldest_first()
    store.acknowledge(sample)
    store.acknowledge(sample)
    assert ids(store) == []


def test_a_document_that_describes_nothing_is_left_out(store: SampleStore) -> None:
    good, bad = add(store), add(store)
    (store.folder / f"{bad}.json").write_text("[]")
    assert ids(store) == [good]


def test_killed_at_any_moment_it_leaves_whole_samples_only(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KEEP_ADDING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        for _ in range(5):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    store = SampleStore(tmp_path, Files())
    # Whatever instant it was, as bad as it can be: a picture without its document.
    orphan = store.folder / f"9999999999-{AT}.jpg"
    orphan.write_bytes(b"half")
    (store.folder / ".tmp-x.json").write_bytes(b"half")
    kept = list(store.oldest_first())
    assert len(kept) >= 5
    assert all(sample.picture.stat().st_size == 100_000 for sample in kept)
    store.clean()
    assert len(list(store.folder.iterdir())) == 2 * len(kept)


def test_a_list_and_a_deletion_beside_a_writer_see_whole_samples(store: SampleStore) -> None:
    def write() -> None:
        for _ in range(60):
            add(store, size=5000)
            store.make_room(40_000)

    other = SampleStore(store.folder.parent, Files())
    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(write)
        while not writing.done():
            for sample in other.oldest_first():
                assert sample.bytes > 5000
            other.make_room(20_000)
    writing.result()
    assert bytes_taken(store) <= 40_000


def test_a_folder_that_may_not_be_read_is_named(store: SampleStore) -> None:
    add(store)
    store.folder.chmod(0)
    if os.access(store.folder, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(Postponed, match="samples"):
        ids(store)


def test_an_export_has_a_folder_a_label_and_two_indexes(store: SampleStore, tmp_path: Path) -> None:
    for label in ("bell pepper", "a/b", ".."):
        add(store, label=label, version=None)
    folder = tmp_path / "out" / "first"
    assert export_samples(store.oldest_first(), folder) == 3
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {
        "bell pepper",
        "a%2Fb",
        "%2E.",
    }
    with (folder / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["bell pepper", "a/b", ".."]
    assert all((folder / row["file"]).read_bytes() == b"\xff" * 10 for row in rows)
    index = json.loads((folder / "info.labels").read_text())
    assert index["version"] == 1
    assert index["files"][0]["label"] == {"type": "label", "label": "bell pepper"}
    assert (folder / index["files"][0]["path"]).is_file()
    assert index["files"][0]["metadata"]["release"] == "abcd"
    with pytest.raises(FolderNotEmpty, match="not empty"):
        export_samples(store.oldest_first(), folder)


@pytest.mark.parametrize("label", ["x" * 300, "%2F", "%25", "ü" * 120, "\0", "\ud800", "a\nb"])
def test_every_label_has_a_folder_of_its_own(label: str) -> None:
    name = label_folder(label)
    assert "/" not in name
    assert len(name.encode()) <= 200
    assert name != label_folder(label.replace("%2F", "/").replace("%25", "%") + "y")
    assert name.isprintable()
    if len(label) < 100 and label != "\ud800":
        assert folder_label(name) == label


class Commands:
    """``edgeferry samples`` on a state folder."""

    def __init__(self, state_dir: Path) -> None:
        self._config = state_dir / "agent.toml"
        self._config.write_text(f'[device]\nstate_dir = "{state_dir}"\n')

    def __call__(self, *arguments: str, status: int = 0) -> str:
        environment = {"EDGEFERRY_CONFIG": str(self._config)}
        result = CliRunner().invoke(device_app(), ["samples", *arguments], env=environment)
        assert result.exit_code == status, result.output
        return result.output


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


def test_the_list_is_for_people_and_for_scripts(store: SampleStore, commands: Commands) -> None:
    assert "no samples" in commands()
    added = add(store)
    assert added in commands()
    (shown,) = json.loads(commands("--json"))
    assert (shown["id"], shown["why"], shown["top"][0]["label"]) == (added, "audit", "red")


def test_samples_are_deleted_by_id_age_and_release(store: SampleStore, commands: Commands) -> None:
    old = add(store, taken_at="2020-01-01T00:00:00.000Z", release="aaaa1")
    new = add(store, taken_at="2999-01-01T00:00:00.000Z", release="aaaa2")
    other = add(store, taken_at="2020-01-01T00:00:00.000Z", release="bbbb")
    commands("delete", status=2)
    assert ids(store) == [old, new, other]
    assert "1 samples deleted" in commands("delete", "--older-than", "7d", "--release", "aaaa")
    assert ids(store) == [new, other]
    assert "1 samples deleted" in commands("delete", other)
    commands("delete", "--older-than", "soon", status=2)
    assert "1 samples deleted" in commands("delete", "--all")
    assert ids(store) == []


def test_an_export_from_the_command_line(
    store: SampleStore, commands: Commands, tmp_path: Path
) -> None:
    add(store, release="aaaa")
    add(store, release="bbbb")
    out = tmp_path / "out"
    assert "1 samples in" in commands("export", str(out), "--release", "bb")
    commands("export", str(out), status=2)
