"""File names made of text from the network."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.store.names import PackageNames, safe_name
from states.model import Package, Release


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
