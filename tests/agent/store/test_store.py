"""The release store on real files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.store.blobs import WrongContent
from agent.store.files import TEMPORARY, Files, OpenFile
from agent.store.names import PackageNames
from agent.store.release_store import ReleaseStore
from states.model import Release
from states.ports import Postponed, Store
from states.reasons import Rejection, Transient
from tests.support.bad_surroundings import no_new_descriptors
from tests.support.releases import admit, new_store, package, put, tree


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


def test_a_blob_is_synced_before_it_has_its_name(state_dir: Path) -> None:
    steps: list[tuple[str, str]] = []

    class Watched(Files):
        def sync(self, file: OpenFile) -> None:
            steps.append(("sync", file.path.name))
            super().sync(file)

        def rename(self, source: Path, target: Path) -> None:
            steps.append(("rename", source.name))
            super().rename(source, target)

    model = admit(new_store(state_dir, files=Watched()), "ai-model", "1", b"model")
    assert steps == [("sync", f"{model.sha256}.part"), ("rename", f"{model.sha256}.part")]


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
    store.collect()
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


def test_the_reserve_is_not_available(state_dir: Path, store: ReleaseStore) -> None:
    greedy = ReleaseStore(
        state_dir,
        names=PackageNames("m", "l"),
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


def test_without_a_free_descriptor_a_release_is_not_taken_for_damaged(store: ReleaseStore) -> None:
    one = put(store, 1)
    with no_new_descriptors(os.getpid()), pytest.raises(Postponed) as raised:
        store.switch(one.id, None)
    assert raised.value.reason is Transient.NO_RESOURCES
    with no_new_descriptors(os.getpid()), pytest.raises(Postponed):
        store.contents(one.id)
    assert store.holds(one.id)
