"""Time windows and holds as tables."""

from __future__ import annotations

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from states.gates import Gates, Hold, Step, TimeWindow

times = st.times().map(lambda t: t.replace(second=0, microsecond=0))


@pytest.mark.parametrize(
    ("window", "now", "is_open"),
    [
        ("22:00-06:00", "21:59", False),
        ("22:00-06:00", "22:00", True),
        ("22:00-06:00", "23:59", True),
        ("22:00-06:00", "00:00", True),
        ("22:00-06:00", "05:59", True),
        ("22:00-06:00", "06:00", False),
        ("09:00-17:30", "08:59", False),
        ("09:00-17:30", "17:29", True),
        ("09:00-17:30", "17:30", False),
    ],
)
def test_a_window_is_open_from_its_first_minute_to_before_its_last(
    window: str, now: str, is_open: bool
) -> None:
    assert TimeWindow.parse(window).contains(time.fromisoformat(now)) is is_open


@pytest.mark.parametrize("text", ["", "22-06", "24:00-06:00", "22:60-06:00", "06:00-06:00", "x"])
def test_a_window_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        TimeWindow.parse(text)


@given(times, times, times)
def test_a_window_and_its_complement_share_no_minute(first: time, second: time, now: time) -> None:
    if first != second:
        one, other = TimeWindow(first, second), TimeWindow(second, first)
        assert one.contains(now) != other.contains(now)
        assert TimeWindow.parse(str(one)) == one


NIGHT = (TimeWindow.parse("22:00-06:00"),)


@pytest.mark.parametrize(
    ("gates", "hold", "step", "now", "said"),
    [
        (Gates(), Hold.NOTHING, Step.DOWNLOAD, "12:00", None),
        (Gates(download=NIGHT), Hold.NOTHING, Step.DOWNLOAD, "12:00", "waits for its time"),
        (Gates(download=NIGHT), Hold.NOTHING, Step.DOWNLOAD, "23:00", None),
        (Gates(download=NIGHT), Hold.NOTHING, Step.ACTIVATION, "12:00", None),
        (Gates(activation=NIGHT), Hold.NOTHING, Step.ACTIVATION, "12:00", "22:00-06:00"),
        (Gates(), Hold.ACTIVATION, Step.DOWNLOAD, "12:00", None),
        (Gates(), Hold.ACTIVATION, Step.ACTIVATION, "12:00", "release-hold"),
        (Gates(), Hold.EVERYTHING, Step.DOWNLOAD, "12:00", "release-hold"),
        (Gates(download=NIGHT), Hold.EVERYTHING, Step.DOWNLOAD, "23:00", "on hold"),
    ],
)
def test_a_step_waits_for_its_window_and_for_the_hold(
    gates: Gates, hold: Hold, step: Step, now: str, said: str | None
) -> None:
    why = gates.closed(step, time.fromisoformat(now), hold)
    assert why is None if said is None else said in (why or "")
