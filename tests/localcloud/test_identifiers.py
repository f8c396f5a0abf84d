"""Times as callers write them, and as they are kept: in one form whose order is theirs."""

from __future__ import annotations

import pytest

from localcloud.errors import InvalidArgument
from localcloud.identifiers import (
    format_timestamp,
    object_id,
    parse_timestamp,
    slug,
    timestamp,
    unix_seconds,
)


def test_identifiers_have_golioths_forms() -> None:
    ids = {object_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(id_) for id_ in ids} == {24}
    assert slug("My  Fleet / №1") == "my-fleet-1"
    with pytest.raises(InvalidArgument):
        slug("…")


def test_times_are_text_in_time_order() -> None:
    assert format_timestamp(1_642_796_612_250_818_000) == "2022-01-21T20:23:32.250818000Z"
    assert parse_timestamp("2022-01-21T21:23:32.250818+01:00") == "2022-01-21T20:23:32.250818000Z"
    assert parse_timestamp("2022-01-21T20:23:32Z") < parse_timestamp("2022-01-21T20:23:32.1Z")
    assert timestamp() > "2020"


def test_every_year_has_four_digits() -> None:
    early, late = parse_timestamp("0987-01-01"), parse_timestamp("2026-01-01T00:00:00Z")
    assert early == "0987-01-01T00:00:00.000000000Z"
    assert early < late
    assert format_timestamp(unix_seconds(early) * 1_000_000_000) == early


@pytest.mark.parametrize(
    "text", ["", "yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_what_is_no_time_that_can_be_kept_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="RFC 3339"):
        parse_timestamp(text)
