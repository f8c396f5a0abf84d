"""The commit window: its verdicts as a table, and its life over restarts of agent and worker."""

from __future__ import annotations

from dataclasses import replace

import pytest

from states.figures import Comparison, WorkerFigures
from states.policy import WindowLimits
from states.ports import Postponed
from states.reasons import Rejection, Transient
from states.update import Outcome
from states.window import Verdict, Window
from tests.states.comparisons import ALIKE, COLLAPSED, compared
from tests.states.memory_journal import PowerCut
from tests.states.world import Device, release

LIMITS = WindowLimits()
OPENED = WorkerFigures("new", 0, 0, 0, 0, instance="1")
WINDOW = Window("new", 0, OPENED)

BARELY_COMPARED = replace(ALIKE, compared=29, agreed=29, shadowing=True)
"""On a machine so busy that the release before hardly ever gets a frame."""


def seen(classified: int, **changes: object) -> WorkerFigures:
    figures = replace(OPENED, captured=classified, classified=classified, comparison=ALIKE)
    return replace(figures, **changes)  # type: ignore[arg-type]


def left(because: Transient | None) -> dict[str, object]:
    return {"serving": "old", "fell_back_from": "new", "fell_back_for": because}


@pytest.mark.parametrize(
    ("now", "over", "verdict", "why"),
    [
        (seen(299), False, Verdict.UNDECIDED, ""),
        (seen(300), False, Verdict.CONFIRMED, ""),
        (seen(30), True, Verdict.CONFIRMED, ""),
        (seen(29), True, Verdict.UNDECIDED, ""),
        (seen(300, comparison=None), False, Verdict.CONFIRMED, ""),
        (seen(3, errors=1), False, Verdict.FAILED, "1 engine failures, 0 allowed"),
        (seen(3, serving="old"), False, Verdict.FAILED, "serves old instead"),
        (
            seen(3, serving="old", fell_back_from="new", fell_back_because="model-crashed"),
            False,
            Verdict.FAILED,
            "went back to old by itself: model-crashed",
        ),
        (seen(300, **left(Transient.ENGINE_SILENT)), False, Verdict.UNDECIDED, ""),
        (seen(300, **left(Transient.ENGINE_SILENT)), True, Verdict.FAILED, "went back to old"),
        (seen(300, **left(Transient.ENGINE_LATE)), False, Verdict.FAILED, "went back to old"),
        (
            seen(40, comparison=compared({"inference_p50_ms": 90.0, "inference_p95_ms": 99.0})),
            False,
            Verdict.FAILED,
            "clearly slower",
        ),
        (seen(299, comparison=compared(COLLAPSED)), False, Verdict.UNDECIDED, ""),
        (seen(300, comparison=compared(COLLAPSED)), False, Verdict.FAILED, "says 'cat' to 100%"),
        (seen(30, comparison=compared(COLLAPSED)), True, Verdict.FAILED, "says 'cat' to 100%"),
        (seen(900, comparison=BARELY_COMPARED), False, Verdict.UNDECIDED, ""),
        (seen(900, comparison=BARELY_COMPARED), True, Verdict.CONFIRMED, ""),
        (
            seen(300, comparison=replace(BARELY_COMPARED, shadowing=False)),
            False,
            Verdict.CONFIRMED,
            "",
        ),
    ],
)
def test_the_verdict_follows_from_the_figures(
    now: WorkerFigures, over: bool, verdict: Verdict, why: str
) -> None:
    judgement = WINDOW.judge(now, LIMITS, over=over)
    assert judgement.verdict is verdict
    assert why in judgement.why


@pytest.mark.parametrize(
    ("because", "reason"),
    [
        (None, Rejection.COMMIT_WINDOW_FAILED),
        (Transient.ENGINE_SILENT, Transient.ENGINE_SILENT),
        (Transient.ENGINE_LATE, Transient.ENGINE_LATE),
    ],
)
def test_a_release_that_was_only_late_is_not_to_blame(
    because: Transient | None, reason: Rejection | Transient
) -> None:
    assert WINDOW.judge(seen(9, **left(because)), LIMITS, over=True).reason is reason


def test_a_release_confirmed_before_is_judged_on_itself_alone() -> None:
    window = replace(WINDOW, apart="it was confirmed before")
    worse = seen(300, comparison=compared(COLLAPSED))
    assert window.judge(worse, LIMITS).verdict is Verdict.CONFIRMED
    assert window.judge(replace(worse, errors=1), LIMITS).verdict is Verdict.FAILED


def test_looks_come_with_twice_the_frames_and_not_with_every_tick() -> None:
    slow = compared({"inference_p50_ms": 90.0, "inference_p95_ms": 99.0})
    looked = replace(WINDOW, looked_at=100)
    assert looked.judge(seen(199, comparison=slow), LIMITS).verdict is Verdict.UNDECIDED
    assert looked.judge(seen(200, comparison=slow), LIMITS).verdict is Verdict.FAILED


@pytest.fixture
async def device() -> Device:
    """A device that serves release 1, its window fed by a comparison of good releases."""
    device = Device()
    await device.deliver("1")
    device.world.comparing = ALIKE
    return device


def bad(**candidate: object) -> Comparison:
    return compared(dict(candidate))


async def test_a_worse_release_is_left_and_why_is_kept(device: Device) -> None:
    device.world.comparing = bad(classes={"cat": 300})
    await device.deliver("2")
    assert device.world.serving == device.world.current == release("1").id
    assert device.journal.rejected == {release("2").id: "commit-window-failed"}
    window = device.journal.evidence_of("window")[-1]
    assert window["verdict"] == "failed"
    assert {c["name"] for c in window["checks"] if c["result"] == "failed"} == {
        "most frequent class"
    }
    assert window["limits"]["dominant_share"] == 0.98
    assert window["figures"]["comparison"]["candidate"]["classes"] == {"cat": 300}
    assert window["opened"]["serving"] == release("2").id


async def test_a_confirmed_release_leaves_its_evidence_and_no_shadow(device: Device) -> None:
    await device.deliver("2")
    assert device.journal.evidence_of("window")[-1]["verdict"] == "confirmed"
    assert device.world.serving == release("2").id
    assert device.world.shadow is None
    assert device.journal.evidence_of("swap")[-1]["shadow"] == release("1").id


async def test_going_back_to_confirmed_content_needs_no_comparison(device: Device) -> None:
    await device.deliver("2")
    device.world.comparing = bad(classes={"cat": 300})
    await device.deliver("1", 3)
    assert device.world.serving == release("1").id
    assert device.journal.evidence_of("trial")[-1] == {"known_good": True}


async def test_a_release_that_was_late_is_tried_again(device: Device) -> None:
    heard_out = [
        lambda: None,
        lambda: device.world.fall_back(Transient.ENGINE_SILENT),
        lambda: device.world.fall_back(Transient.ENGINE_LATE),
    ]
    device.world.accidents["figures"] = list(heard_out)
    await device.deliver("2")
    assert device.world.serving == device.world.current == release("2").id
    assert device.journal.rejected == {}
    assert device.journal.events.count("restored_for_retry") == 1
    late = next(step.update for step in device.journal.steps if step.event == "roll_back")
    assert late is not None
    assert (late.reason, late.outcome) == (Transient.ENGINE_LATE, None)


async def test_a_release_that_is_always_late_is_left_in_the_end(device: Device) -> None:
    limit = device.policy.attempt_limit
    device.world.accidents["figures"] = [
        lambda: None,
        lambda: device.world.fall_back(Transient.ENGINE_LATE),
    ] * limit
    await device.deliver("2")
    assert device.world.serving == device.world.current == release("1").id
    assert device.journal.rejected == {release("2").id: "commit-window-failed"}
    assert device.journal.events.count("restored_for_retry") == limit - 1


async def test_a_window_goes_on_when_the_agent_is_restarted(device: Device) -> None:
    world = device.world
    world.accidents["figures"] = [lambda: None] * 3 + [PowerCut()]
    with pytest.raises(PowerCut):
        await device.deliver("2")
    commits = world.commits
    await device.settle(device.start())
    assert world.serving == release("2").id
    assert world.commits == commits, "the worker's own comparison is gone on with"
    assert device.journal.evidence_of("window")[-1]["restarts"] == 0


@pytest.mark.parametrize(("restarts", "serves"), [(1, "2"), (2, "2"), (3, "1")])
async def test_a_restarted_worker_begins_the_window_anew_but_not_for_ever(
    device: Device, restarts: int, serves: str
) -> None:
    restart = device.world.restart_worker
    device.world.accidents["figures"] = [lambda: None, *[restart, lambda: None] * restarts]
    await device.deliver("2")
    assert device.world.serving == device.world.current == release(serves).id
    window = device.journal.evidence_of("window")[-1]
    assert window["restarts"] == restarts
    if serves == "2":
        assert release("1").id in device.world.shadowed, "compared with the release before again"


async def test_restarts_of_the_worker_are_counted_over_power_cuts(device: Device) -> None:
    def power_cut() -> None:
        device.world.restart_worker()
        raise PowerCut

    device.world.accidents["figures"] = [lambda: None, power_cut]
    with pytest.raises(PowerCut):
        await device.deliver("2")
    for _ in range(2):
        device.world.accidents["figures"] = [lambda: None, lambda: None, power_cut]
        with pytest.raises(PowerCut):
            await device.settle(device.start())
    await device.settle(device.start())
    assert device.world.serving == release("1").id
    assert device.journal.rejected == {release("2").id: "commit-window-failed"}


async def test_evidence_that_cannot_be_written_stops_nothing(device: Device) -> None:
    def full(*_: object) -> None:
        raise Postponed(Transient.DISK_FULL, "made up")

    device.journal.note_evidence = full  # type: ignore[assignment, method-assign]
    await device.deliver("2")
    assert device.world.serving == release("2").id


async def test_a_slow_camera_is_judged_by_what_it_gave(device: Device) -> None:
    device.world.frames_per_look = 0.05
    await device.deliver("2")
    last = device.journal.steps[-1].update
    assert last is not None
    assert last.outcome is Outcome.CONFIRMED
    window = device.journal.evidence_of("window")[-1]
    assert 30 <= window["figures"]["classified"] < 300
