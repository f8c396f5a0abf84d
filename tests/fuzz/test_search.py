"""How cases are changed, tried and kept."""

from __future__ import annotations

import json
from pathlib import Path

import cbor2
import pytest

from tests.fuzz.catalogue import TARGETS, target_named
from tests.fuzz.mutation import changed
from tests.fuzz.target import LONGEST_TEXT, Finding, check_text, joined, pieces, refusing

DOCUMENT = {"a": [1, 2.5, {"b": None}], "c": "text", "d": {"e": True}}


@pytest.mark.parametrize("form", [json, cbor2])
def test_a_changed_document_is_another_one_of_bounded_size(form: object) -> None:
    original = json.dumps(DOCUMENT).encode() if form is json else cbor2.dumps(DOCUMENT)
    made = [changed(original, 4096, seed) for seed in range(300)]
    kept = {case for case in made if case is not None}
    assert len(kept) > 150
    assert all(len(case) <= 4096 for case in kept)
    assert made == [changed(original, 4096, seed) for seed in range(300)]
    assert sum(case != original for case in made) > 0.8 * len(made)


def test_what_is_no_document_is_left_to_changes_of_bytes() -> None:
    assert changed(b"{no", 4096, 1) is None
    assert changed(b"\xff\xff", 4096, 1) is None


def test_only_documented_errors_pass_and_only_with_a_text_that_can_be_kept() -> None:
    with refusing(ValueError):
        raise ValueError("documented")
    with pytest.raises(KeyError), refusing(ValueError):
        raise KeyError("not documented")
    for text in ("half a pair: \ud800", "x" * (LONGEST_TEXT + 1)):
        with pytest.raises(Finding), refusing(ValueError):
            raise ValueError(text)
        with pytest.raises(Finding):
            check_text(text)


def test_messages_of_a_case_come_out_as_they_were_put_in() -> None:
    messages = [b"", b"one", bytes(300)]
    assert list(pieces(joined(*messages))) == messages
    assert list(pieces(b"\x00")) == [b""]


def test_the_first_case_of_each_kind_is_kept_and_the_search_goes_on(tmp_path: Path) -> None:
    campaign = pytest.importorskip("tests.fuzz.campaign", reason="atheris is not there")

    def attempt(data: bytes) -> None:
        if data.startswith(b"a"):
            raise KeyError(data)
        if data.startswith(b"b"):
            raise Finding("found")

    search = campaign.Search(target_named("labels"), attempt, tmp_path)
    for case in (b"fine", b"a1", b"a2", b"b1", b"fine", b"b2"):
        search.try_one(case)
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"a1", b"b1"]


def test_every_target_has_a_name_of_its_own() -> None:
    assert len({target.name for target in TARGETS}) == len(TARGETS)
