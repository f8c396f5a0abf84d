from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.worker.model.labels import MAX_LABELS_BYTES, parse_labels, read_labels
from states.ports import Rejected
from states.reasons import Rejection

LABEL = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20
)


@given(st.lists(LABEL, min_size=1, max_size=20, unique=True), st.sampled_from(["\n", "\r\n"]))
def test_labels_come_back_in_order_whatever_ends_their_lines(
    labels: list[str], ending: str
) -> None:
    text = ending.join(labels) + ending * 3
    assert parse_labels(text.encode()) == tuple(labels)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_labels_or_refused(content: bytes) -> None:
    with suppress(Rejected):
        labels = parse_labels(content)
        assert labels
        assert len(set(labels)) == len(labels)


def test_a_byte_order_mark_is_no_part_of_the_first_label() -> None:
    assert parse_labels(b"\xef\xbb\xbfred\ngreen") == ("red", "green")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no label"),
        (b"\n\n", "no label"),
        (b"red\n\ngreen\n", "line 2 is blank"),
        (b"red\ngreen\nred\n", "lines 1 and 3"),
        (b"red\ngr\xfcn\n", "line 2 is not UTF-8"),
        (b"red\nbl\x00ue\n", "line 2 holds control characters"),
        (b"x" * 300, "line 1 has more than"),
        (b"x" * (MAX_LABELS_BYTES + 1), "more than"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(content: bytes, told: str) -> None:
    with pytest.raises(Rejected, match=told) as caught:
        parse_labels(content)
    assert caught.value.reason is Rejection.LABELS_INVALID


def test_labels_may_be_there_twice_where_that_is_meant() -> None:
    with pytest.raises(Rejected, match="allow_duplicate_labels"):
        parse_labels(b"crane\ncrane\n")
    assert parse_labels(b"crane\ncrane\n", allow_duplicates=True) == ("crane", "crane")


def test_a_file_is_read_no_further_than_labels_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"a\n" * MAX_LABELS_BYTES)
    with pytest.raises(Rejected, match="more than"):
        read_labels(tmp_path / "labels.txt")
