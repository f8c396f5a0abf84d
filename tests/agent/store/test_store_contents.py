"""What releases on disk say, which are retained, and names from the network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.store.files import TEMPORARY
from agent.store.release_store import ReleaseStore
from agent.store.releases import ReleaseDamaged
from states.model import Package, Release
from states.ports import Rejected
from states.reasons import Rejection
from tests.support.releases import admit, new_store, package, put


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

    store.collect((releases[2],))

    assert set(store.releases()) == {releases[i].id for i in (0, 1, 2, 5)}
    kept = {p.sha256 for i in (0, 1, 2, 5) for p in releases[i].packages}
    assert {path.name for path in (state_dir / "blobs").iterdir()} == kept
    versioned = {path.name for path in (state_dir / "models").glob("ai-model_*")}
    assert versioned == {f"ai-model_{i}.tflite" for i in (0, 1, 2, 5)}


def test_a_release_to_go_back_to_is_retained_rather_than_a_newer_rejected_one(
    store: ReleaseStore,
) -> None:
    oldest, good, previous, _rejected, active = [put(store, number).id for number in range(5)]
    store.switch(active, previous)
    store.collect((), confirmed=(active, previous, good, oldest))
    assert set(store.releases()) == {active, previous, good}


def test_a_damaged_description_never_costs_a_retained_release_its_blobs(
    store: ReleaseStore, state_dir: Path
) -> None:
    release = put(store, 1)
    store.switch(release.id, None)
    (state_dir / "releases" / release.id / "release.json").unlink()
    store.collect()
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

    store.collect((target,))
    assert store.has(labels)
    assert store.partial_path(model).exists()
    assert not store.partial_path(stale).exists()

    store.collect()
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
