from __future__ import annotations

from dataclasses import replace

import pytest

from agent.service.liveness import GRACE_SECONDS, STALL_SECONDS, Liveness, Sight, stall_seconds

DEADLINES = {"verifying": 600.0, "downloading": 86400.0}
VERIFYING = Sight(step=4, state="verifying", resumes=0, connected=True, fetched_bytes=0)
DOWNLOADING = replace(VERIFYING, state="downloading")


def test_a_step_may_take_its_deadline_and_some_grace() -> None:
    liveness = Liveness(DEADLINES)
    assert liveness.trouble(VERIFYING, 100) is None
    assert liveness.trouble(VERIFYING, 100 + 600 + GRACE_SECONDS) is None
    assert "verifying" in str(liveness.trouble(VERIFYING, 101 + 600 + GRACE_SECONDS))


def test_a_step_that_is_repeated_has_not_hung() -> None:
    liveness = Liveness(DEADLINES)
    for step in range(100):
        assert liveness.trouble(replace(VERIFYING, step=step), step * 700) is None


@pytest.mark.parametrize("state", ["idle", "awaiting-retry", "held"])
def test_waiting_has_no_limit(state: str) -> None:
    liveness = Liveness(DEADLINES)
    for now in (0, 1e3, 1e7):
        assert liveness.trouble(replace(VERIFYING, state=state), now) is None


def test_a_silent_download_on_a_healthy_link_has_hung() -> None:
    liveness = Liveness(DEADLINES)
    assert liveness.trouble(DOWNLOADING, 0) is None
    assert liveness.trouble(DOWNLOADING, STALL_SECONDS) is None
    assert "link is up" in str(liveness.trouble(DOWNLOADING, STALL_SECONDS + 1))


def test_a_slow_download_lives() -> None:
    liveness = Liveness(DEADLINES)
    for minute in range(1000):
        sight = replace(DOWNLOADING, fetched_bytes=minute // 5)
        assert liveness.trouble(sight, minute * 60) is None


def test_without_a_link_a_download_waits_and_has_its_time_again_after() -> None:
    liveness = Liveness(DEADLINES)
    away = replace(DOWNLOADING, connected=False)
    assert liveness.trouble(DOWNLOADING, 0) is None
    assert liveness.trouble(away, STALL_SECONDS) is None
    assert liveness.trouble(away, 50 * STALL_SECONDS) is None
    assert liveness.trouble(DOWNLOADING, 50 * STALL_SECONDS + 1) is None
    assert liveness.trouble(DOWNLOADING, 51 * STALL_SECONDS) is None


def test_restarts_that_did_not_help_come_ever_more_rarely() -> None:
    for resumes, patience in ((1, 2), (2, 4), (6, 64), (60, 64)):
        liveness = Liveness(DEADLINES)
        stuck = replace(DOWNLOADING, resumes=resumes)
        assert liveness.trouble(stuck, 0) is None
        assert liveness.trouble(stuck, patience * STALL_SECONDS) is None
        assert liveness.trouble(stuck, patience * STALL_SECONDS + 1) is not None


def test_a_capped_download_may_be_silent_for_ten_blocks() -> None:
    assert stall_seconds(0, 0) == stall_seconds(1_000_000, 20) == STALL_SECONDS
    assert stall_seconds(10, 20) == 1200
    assert stall_seconds(0, 0.01) == 1000
