"""The release store on real files."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.blobs import WrongContent
from agent.files import TEMPORARY, Files
from agent.lock import StateDirectoryBusy, lock_state_dir
from agent.names import PackageNames, safe_name
from agent.releases import ReleaseDamaged
from agent.store import ReleaseStore
from states.model import Package, Release
from states.ports import Postponed, Rejected, Store
from states.reasons import Rejection, Transient


def package(name: str, version: str, content: bytes) -> Package:
    digest = hashlib.sha256(content).hexdigest()
    return Package(name, version, digest, len(content), f"/.u/c/{name}@{version}")


def new_store(state_dir: Path, keep_releases: int = 1, files: Files | None = None) -> ReleaseStore:
    store = ReleaseStore(
        state_dir,
        model_package="ai-model",
        labels_package="labels",
        reserve_bytes=1 << 20,
        keep_releases=keep_releases,
        files=files,
    )
    store.prepare()
    return store


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(state_dir: Path) -> ReleaseStore:
    return new_store(state_dir)


def admit(store: ReleaseStore, name: str, version: str, content: bytes) -> Package:
    wanted = package(name, version, content)
    if not store.has(wanted):
        store.partial_path(wanted).write_bytes(content)
        store.admit(wanted, store.partial_path(wanted))
    return wanted


def put(store: ReleaseStore, number: int, labels: str = "1") -> Release:
    """A complete release: model ``number`` with labels ``labels``."""
    release = Release(
        (
            admit(store, "ai-model", str(number), b"model %d" % number),
            admit(store, "labels", labels, f"labels {labels}".encode()),
        )
    )
    store.assemble(release)
    return release


def tree(folder: Path) -> dict[str, str]:
    """Every entry below a folder: link targets, or content."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_it_is_the_store_the_law_speaks_to(store: ReleaseStore) -> None:
    port: Store = store
    assert port.active() is None


def test_the_layout_is_the_contract(store: ReleaseStore, state_dir: Path) -> None:
    one, two = put(store, 1), put(store, 2)
    store.switch(one.id, None)
    store.switch(two.id, one.id)

    found = tree(state_dir)
    model_1, model_2 = one.package("ai-model"), two.package("ai-model")
    labels = two.package("labels")
    assert model_1
    assert model_2
    assert labels
    descriptions = [found.pop(f"releases/{r.id}/release.json") for r in (one, two)]
    assert found == {
        f"blobs/{model_1.sha256}": "model 1",
        f"blobs/{model_2.sha256}": "model 2",
        f"blobs/{labels.sha256}": "labels 1",
        f"releases/{one.id}/ai-model.tflite": f"../../blobs/{model_1.sha256}",
        f"releases/{one.id}/labels.txt": f"../../blobs/{labels.sha256}",
        f"releases/{one.id}/version.txt": "1\n",
        f"releases/{two.id}/ai-model.tflite": f"../../blobs/{model_2.sha256}",
        f"releases/{two.id}/labels.txt": f"../../blobs/{labels.sha256}",
        f"releases/{two.id}/version.txt": "2\n",
        "current": f"releases/{two.id}",
        "previous": f"releases/{one.id}",
        "models/ai-model.tflite": "../current/ai-model.tflite",
        "models/labels.txt": "../current/labels.txt",
        "models/version.txt": "../current/version.txt",
        "models/ai-model_1.tflite": f"../releases/{one.id}/ai-model.tflite",
        "models/ai-model_2.tflite": f"../releases/{two.id}/ai-model.tflite",
        "models/labels_1.txt": f"../releases/{two.id}/labels.txt",
    }
    assert (state_dir / "models/ai-model.tflite").read_text() == "model 2"
    assert (state_dir / "models/ai-model_1.tflite").read_text() == "model 1"
    assert json.loads(descriptions[1])["packages"][0] == {
        "name": "ai-model",
        "version": "2",
        "sha256": model_2.sha256,
        "size": 7,
        "uri": "/.u/c/ai-model@2",
        "file": "ai-model.tflite",
    }


def test_folders_and_blobs_are_closed_to_others(store: ReleaseStore, state_dir: Path) -> None:
    model = admit(store, "ai-model", "1", b"model")
    assert state_dir.stat().st_mode & 0o777 == 0o750
    assert (state_dir / "blobs" / model.sha256).stat().st_mode & 0o777 == 0o444


def test_what_is_missing_comes_smallest_first(store: ReleaseStore) -> None:
    big, small = package("ai-model", "1", b"x" * 900), package("labels", "1", b"x" * 9)
    held = admit(store, "extra", "1", b"here")
    assert store.missing(Release((big, small, held))) == (small, big)


def test_a_blob_of_the_wrong_size_counts_as_missing(store: ReleaseStore, state_dir: Path) -> None:
    model = admit(store, "ai-model", "1", b"model")
    blob = state_dir / "blobs" / model.sha256
    blob.chmod(0o644)
    blob.write_bytes(b"")
    assert store.missing(Release((model,))) == (model,)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"modem", Rejection.HASH_MISMATCH), (b"mode", Rejection.SIZE_MISMATCH)],
)
def test_wrong_bytes_never_become_a_blob(
    store: ReleaseStore, state_dir: Path, content: bytes, reason: Rejection
) -> None:
    model = package("ai-model", "1", b"model")
    part = store.partial_path(model)
    part.write_bytes(content)

    with pytest.raises(WrongContent) as raised:
        store.admit(model, part)

    assert raised.value.reason is reason
    assert raised.value.actual == hashlib.sha256(content).hexdigest()
    assert "ai-model 1" in raised.value.detail
    assert not part.exists()
    assert list((state_dir / "blobs").iterdir()) == []


def test_a_damaged_blob_is_found_and_fetched_again(store: ReleaseStore, state_dir: Path) -> None:
    release = put(store, 1)
    model = release.package("ai-model")
    assert model
    assert store.verify_blobs(release) == ()
    blob = state_dir / "blobs" / model.sha256
    blob.chmod(0o644)
    blob.write_bytes(b"m0del 1")

    assert store.verify_blobs(release) == (model,)
    assert store.missing(release) == (model,)
    assert not store.holds(release.id)

    admit(store, "ai-model", "1", b"model 1")
    store.assemble(release)
    assert store.holds(release.id)


def test_assembling_twice_changes_nothing(store: ReleaseStore, state_dir: Path) -> None:
    release = put(store, 1)
    before = tree(state_dir)
    store.assemble(release)
    assert tree(state_dir) == before


def test_an_incomplete_release_is_no_release_until_repaired(
    store: ReleaseStore, state_dir: Path
) -> None:
    release = put(store, 1)
    folder = state_dir / "releases" / release.id

    def a_folder_in_its_place() -> None:
        (folder / "ai-model.tflite").unlink()
        (folder / "ai-model.tflite").mkdir()

    damages: dict[str, Callable[[], object]] = {
        "labels.txt": lambda: (folder / "labels.txt").unlink(),
        "release.json": lambda: (folder / "release.json").write_text("{"),
        "version.txt": lambda: (folder / "version.txt").write_text(""),
        "ai-model.tflite": a_folder_in_its_place,
    }
    for name, damage in damages.items():
        damage()
        assert not store.holds(release.id), name
        store.assemble(release)
        assert store.holds(release.id), name
    (folder / "stray").write_text("x")
    (folder / "version.txt").unlink()
    store.assemble(release)
    assert not (folder / "stray").exists()


def test_a_release_without_its_blobs_is_not_assembled(store: ReleaseStore) -> None:
    with pytest.raises(Postponed, match="ai-model"):
        store.assemble(Release((package("ai-model", "1", b"model"),)))


def test_leftovers_of_an_interrupted_assembly_are_replaced(
    store: ReleaseStore, state_dir: Path
) -> None:
    release = Release((admit(store, "ai-model", "1", b"model 1"),))
    half = state_dir / "releases" / (TEMPORARY + release.id)
    half.mkdir()
    (half / "ai-model.tflite").symlink_to("/nowhere")

    store.assemble(release)

    assert store.holds(release.id)
    assert not half.exists()


def test_the_switch_is_one_rename_and_comes_before_everything_else(state_dir: Path) -> None:
    renamed: list[str] = []

    class Watched(Files):
        def rename(self, source: Path, target: Path) -> None:
            renamed.append(target.name)
            super().rename(source, target)

    store = new_store(state_dir, files=Watched())
    one, two = put(store, 1), put(store, 2)
    store.switch(one.id, None)
    renamed.clear()

    store.switch(two.id, one.id)

    assert renamed[:2] == ["current", "previous"]
    assert renamed.count("current") == 1
    # The fixed names lead through current, so there is nothing to move a second time.
    assert not {"ai-model.tflite", "labels.txt", "version.txt"} & set(renamed)


def test_going_back_changes_model_labels_and_version_together(
    store: ReleaseStore, state_dir: Path
) -> None:
    one, two = put(store, 1, labels="1"), put(store, 2, labels="2")
    models = state_dir / "models"

    def served() -> tuple[str, ...]:
        names = ("ai-model.tflite", "labels.txt", "version.txt")
        return tuple((models / name).read_text() for name in names)

    store.switch(two.id, one.id)
    assert served() == ("model 2", "labels 2", "2\n")
    store.switch(one.id, two.id)
    assert served() == ("model 1", "labels 1", "1\n")
    assert (store.active(), store.previous()) == (one.id, two.id)


def test_only_a_complete_release_becomes_current(store: ReleaseStore, state_dir: Path) -> None:
    release = put(store, 1)
    store.switch(release.id, None)
    for refused in ("0" * 16, "../../etc", ""):
        with pytest.raises(Postponed) as raised:
            store.switch(refused, None)
        assert raised.value.reason is Transient.STORAGE_ERROR
    assert store.active() == release.id


def test_a_previous_release_that_is_gone_is_left_out(store: ReleaseStore) -> None:
    release = put(store, 1)
    store.switch(release.id, "0" * 16)
    assert (store.active(), store.previous()) == (release.id, None)


def test_nothing_serves_after_a_switch_to_none(store: ReleaseStore, state_dir: Path) -> None:
    release = put(store, 1)
    store.switch(release.id, None)
    store.switch(None, None)
    assert store.active() is None
    assert not (state_dir / "models" / "ai-model.tflite").is_symlink()
    assert (state_dir / "models" / "ai-model_1.tflite").read_text() == "model 1"


def test_files_of_others_in_the_view_stay(store: ReleaseStore, state_dir: Path) -> None:
    """A device that ran the original updater has real files there; only its fixed names move."""
    models = state_dir / "models"
    (models / "ai-model_0.tflite").write_text("model 0")
    (models / "ai-model.tflite").symlink_to("ai-model_0.tflite")
    (models / "notes.md").write_text("mine")
    release = put(store, 1)

    store.switch(release.id, None)

    assert (models / "ai-model.tflite").read_text() == "model 1"
    assert (models / "ai-model_0.tflite").read_text() == "model 0"
    assert (models / "notes.md").read_text() == "mine"


def test_the_view_survives_a_damaged_description_of_the_active_release(
    store: ReleaseStore, state_dir: Path
) -> None:
    release = put(store, 1)
    store.switch(release.id, None)
    (state_dir / "releases" / release.id / "release.json").write_text("{")
    store.collect(frozenset())
    assert (state_dir / "models" / "ai-model.tflite").read_text() == "model 1"
    assert (state_dir / "models" / "labels.txt").read_text() == "labels 1"


def test_a_release_without_labels_leaves_no_stale_labels_in_the_view(
    store: ReleaseStore, state_dir: Path
) -> None:
    store.switch(put(store, 1).id, None)
    bare = Release((admit(store, "ai-model", "2", b"model 2"),))
    store.assemble(bare)
    store.switch(bare.id, None)
    assert not (state_dir / "models" / "labels.txt").is_symlink()


def test_a_release_is_read_back_as_it_was(store: ReleaseStore, state_dir: Path) -> None:
    release = put(store, 1)
    again = store.read_release(release.id)
    assert again == release
    assert [p.uri for p in again.packages] == [p.uri for p in release.packages]
    assert new_store(state_dir).read_release(release.id) == release


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', "\0", None])
def test_an_unreadable_description_is_a_typed_error(
    store: ReleaseStore, state_dir: Path, content: str | None
) -> None:
    release = put(store, 1)
    path = state_dir / "releases" / release.id / "release.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(ReleaseDamaged, match=release.id):
        store.read_release(release.id)
    assert not store.holds(release.id)


def test_a_description_of_another_release_or_a_newer_format_is_refused(
    store: ReleaseStore, state_dir: Path
) -> None:
    one, two = put(store, 1), put(store, 2)
    path = state_dir / "releases" / one.id / "release.json"
    path.write_bytes((state_dir / "releases" / two.id / "release.json").read_bytes())
    with pytest.raises(ReleaseDamaged, match="another release"):
        store.read_release(one.id)
    store.assemble(one)
    newer = json.loads(path.read_text()) | {"format": 99}
    path.write_text(json.dumps(newer))
    with pytest.raises(ReleaseDamaged, match="99"):
        store.read_release(one.id)


def test_releases_are_listed_the_last_assembled_first(store: ReleaseStore) -> None:
    ids = [put(store, number).id for number in (3, 1, 2)]
    assert store.releases() == tuple(reversed(ids))


def test_retention_keeps_active_previous_the_asked_for_and_the_newest(
    store: ReleaseStore, state_dir: Path
) -> None:
    releases = [put(store, number) for number in range(6)]
    store.switch(releases[0].id, releases[1].id)

    store.collect(frozenset({releases[2].id}))

    assert set(store.releases()) == {releases[i].id for i in (0, 1, 2, 5)}
    kept = {p.sha256 for i in (0, 1, 2, 5) for p in releases[i].packages}
    assert {path.name for path in (state_dir / "blobs").iterdir()} == kept
    versioned = {path.name for path in (state_dir / "models").glob("ai-model_*")}
    assert versioned == {f"ai-model_{i}.tflite" for i in (0, 1, 2, 5)}


def test_a_damaged_description_never_costs_a_retained_release_its_blobs(
    store: ReleaseStore, state_dir: Path
) -> None:
    release = put(store, 1)
    store.switch(release.id, None)
    (state_dir / "releases" / release.id / "release.json").unlink()
    store.collect(frozenset())
    assert (state_dir / "models" / "ai-model.tflite").read_text() == "model 1"
    store.assemble(release)
    assert store.holds(release.id)


def test_what_is_still_being_fetched_stays(store: ReleaseStore) -> None:
    labels = admit(store, "labels", "9", b"fetched already")
    model = package("ai-model", "9", b"half of it is here")
    stale = package("ai-model", "8", b"superseded")
    for part in (model, stale):
        store.partial_path(part).write_bytes(b"half")
    target = Release((labels, model))

    store.collect(frozenset({target.id}))
    assert store.has(labels)
    assert store.partial_path(model).exists()
    assert store.partial_path(stale).exists()  # the id alone does not say what it needs

    store.collect(frozenset({target.id}), (target,))
    assert store.has(labels)
    assert store.partial_path(model).exists()
    assert not store.partial_path(stale).exists()

    store.collect(frozenset())
    assert not store.has(labels)
    assert not store.partial_path(model).exists()


def test_preparing_removes_what_a_power_cut_left(store: ReleaseStore, state_dir: Path) -> None:
    release = put(store, 1)
    store.switch(release.id, None)
    leftovers = [
        state_dir / (TEMPORARY + "current"),
        state_dir / "releases" / (TEMPORARY + "0" * 16),
        state_dir / "models" / (TEMPORARY + "labels.txt"),
    ]
    for path in leftovers:
        path.symlink_to("nowhere")
    again = new_store(state_dir)
    assert again.active() == release.id
    assert not any(path.is_symlink() for path in leftovers)


def test_the_reserve_is_not_available(state_dir: Path, store: ReleaseStore) -> None:
    greedy = ReleaseStore(
        state_dir,
        model_package="m",
        labels_package="l",
        reserve_bytes=1 << 62,
        keep_releases=0,
    )
    assert store.available_bytes() > 0
    assert greedy.available_bytes() == 0


def test_fetched_bytes_count_what_is_on_disk_not_the_length(store: ReleaseStore) -> None:
    model = package("ai-model", "1", b"x" * 100_000)
    assert store.fetched_bytes(model) == 0
    with store.partial_path(model).open("wb") as file:
        file.seek(98_304)
        file.write(b"x" * 1_696)
    assert 0 < store.fetched_bytes(model) < 20_000


def test_packages_with_hostile_names_stay_in_their_folder(
    store: ReleaseStore, state_dir: Path
) -> None:
    names = [
        "..", ".", "", "/etc/passwd", "../../current", "release.json", "version.txt", "a\0b",
        "ai-model.tflite", "labels.txt", ".tmp-x", "x" * 250, "x" * 251, "Ä" * 100, "a\nb",
        "ai-model", "labels",
    ]  # fmt: skip
    release = Release(tuple(admit(store, n, f"../{n}", n.encode()) for n in names))
    store.assemble(release)
    store.switch(release.id, None)

    folder = state_dir / "releases" / release.id
    assert len(list(folder.iterdir())) == len(names) + 2
    assert store.read_release(release.id) == release
    assert store.holds(release.id)
    outside = {path.name for path in state_dir.iterdir()}
    assert outside == {"blobs", "partial", "releases", "models", "current"}
    assert all(path.is_symlink() for path in (state_dir / "models").iterdir())
    assert "\n" not in (folder / "version.txt").read_text().removesuffix("\n")


def test_a_package_listed_twice_is_refused(store: ReleaseStore) -> None:
    twice = Release((admit(store, "ai-model", "1", b"a"), admit(store, "ai-model", "2", b"b")))
    with pytest.raises(Rejected, match="twice") as raised:
        store.assemble(twice)
    assert raised.value.reason is Rejection.INCOMPLETE


@pytest.mark.parametrize("digest", ["", "../../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_a_digest_that_is_none_never_becomes_a_path(store: ReleaseStore, digest: str) -> None:
    bad = Package("ai-model", "1", digest, 5)
    for use in (store.has, store.partial_path, store.fetched_bytes):
        with pytest.raises(Rejected, match="no SHA-256"):
            use(bad)


@given(st.text(), st.text())
def test_two_texts_never_share_a_file_name(one: str, other: str) -> None:
    assert (safe_name(one) == safe_name(other)) == (one == other)


@given(st.text(st.characters(), max_size=400))
def test_any_text_makes_a_harmless_file_name(text: str) -> None:
    name = safe_name(text)
    assert 0 < len(name) <= 120
    assert name.isascii()
    assert name.isprintable()
    assert "/" not in name
    assert not name.startswith(".")


NEARLY_TAKEN = [
    "m", "m.tflite", "m%2Etflite", "l", "l.txt", "version.txt", "version%2Etxt", "version%.txt",
    "release.json", "version", "release", "release.tflite",
]  # fmt: skip


@given(st.sets(st.sampled_from(NEARLY_TAKEN)))
def test_the_files_of_a_release_never_collide(names: set[str]) -> None:
    packages = tuple(Package(name, "1", "0" * 64, 1) for name in names)
    for model, labels in (("m", "l"), ("release", "version"), ("m.tflite", "l.txt")):
        files = PackageNames(model, labels).blobs(Release(packages))
        assert len(files) == len(names)
        assert not {"version.txt", "release.json"} & files.keys()


HOLD_THE_LOCK = """
import sys
from pathlib import Path
from agent.lock import lock_state_dir
with lock_state_dir(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(state_dir: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(state_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_agent_is_refused_by_the_number_of_the_first(
    holder: subprocess.Popen[str], state_dir: Path
) -> None:
    with (
        pytest.raises(StateDirectoryBusy, match=f"process {holder.pid}") as raised,
        lock_state_dir(state_dir),
    ):
        pass
    assert raised.value.pid == holder.pid


def test_a_killed_agent_leaves_no_lock_behind(
    holder: subprocess.Popen[str], state_dir: Path
) -> None:
    holder.kill()
    holder.wait()
    with lock_state_dir(state_dir):
        assert state_dir.is_dir()
    with lock_state_dir(state_dir):
        pass
