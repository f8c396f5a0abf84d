"""Which banner follows from which events, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from agent.worker.notices import SHOWN_SECONDS, Notices


def switched(release: str, previous: str | None, gap: float | None = 33.4) -> dict[str, Any]:
    return {"event": "switched", "release": release, "previous": previous, "gap_ms": gap}


FAILED = {"event": "source-failed", "source": "c", "state": "stalled", "detail": "silent"}
BACK = {"event": "source-recovered", "source": "c", "seconds": 7.5}
ENGINE = {"event": "engine-failed", "release": "b", "reason": "model-hung", "detail": "silent"}
FELL_BACK = {"event": "fell-back", "release": "a", "previous": "b"}


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ([switched("a", None, None)], "MODEL LOADED: a"),
        ([switched("b", "a")], "MODEL RELOADED: a → b, 33 ms between two results"),
        ([switched("b", "a"), switched("a", "b")], "WENT BACK: b → a, 33 ms between two results"),
        (
            [switched("b", "a"), switched("c", "b")],
            "MODEL RELOADED: b → c, 33 ms between two results",
        ),
        ([ENGINE], "MODEL FAILED: b: model-hung: silent"),
        ([switched("b", "a"), FELL_BACK], "WENT BACK: b kept failing; a serves again"),
        ([FAILED], "CAMERA LOST: silent"),
        ([FAILED, BACK], "CAMERA BACK: after 7.5 s"),
    ],
)
def test_the_newest_event_is_shown_first(events: list[dict[str, Any]], shown: str) -> None:
    notices = Notices()
    for at, event in enumerate(events):
        notices.note(event, float(at))
    first = notices.current(float(len(events)))[0]
    assert f"{first.title}: {first.text}" == shown


def test_a_banner_goes_after_a_while_but_a_lost_camera_stays_until_it_is_back() -> None:
    notices = Notices()
    notices.note(FAILED, 0.0)
    notices.note(switched("b", "a"), 1.0)
    assert [n.kind for n in notices.current(2.0)] == ["reloaded", "camera-lost"]
    assert [n.kind for n in notices.current(100.0)] == ["camera-lost"]
    notices.note(BACK, 100.0)
    assert [n.kind for n in notices.current(101.0)] == ["camera-back"]
    assert notices.current(100.0 + SHOWN_SECONDS) == []


def test_events_are_counted_and_statistics_are_none() -> None:
    notices = Notices()
    for event in (
        switched("b", "a", 40.0),
        ENGINE,
        ENGINE,
        FELL_BACK,
        FAILED,
        BACK,
        {"event": "statistics"},
    ):
        notices.note(event, 0.0)
    assert notices.counts.to_json() == {
        "swaps": 1,
        "fallbacks": 1,
        "engine_failures": 2,
        "source_failures": 1,
        "last_gap_ms": 40.0,
    }
