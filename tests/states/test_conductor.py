"""The law as a whole: what happens to one device under every kind of manifest and accident."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace
from typing import Any

import pytest

from states.conductor import Conductor
from states.gates import Step
from states.machine import STATES
from states.model import Deployment, Release
from states.policy import Policy, WindowLimits
from states.ports import Postponed, Rejected
from states.reasons import Rejection, Transient
from states.update import Outcome, Transition
from tests.states.world import Device, PowerCut, deployment, postponed, release

GOOD_PATH = [
    "manifest-received",
    "downloading",
    "verifying",
    "activating",
    "confirming",
    "reporting",
    "idle",
]


@pytest.fixture
def device() -> Device:
    return Device()


async def with_release(device: Device, version: str) -> None:
    await device.deliver(version)
    assert device.world.serving == release(version).id
    device.journal.steps.clear()
    device.journal.noted.clear()
    device.world.fetched.clear()


async def test_a_new_release_is_fetched_verified_switched_to_and_confirmed(device: Device) -> None:
    await device.deliver("1")
    assert device.journal.path == GOOD_PATH
    assert device.world.serving == device.world.current == release("1").id
    assert device.journal.confirmed == [release("1").id]


async def test_the_same_content_is_a_no_op_whatever_its_sequence_number(device: Device) -> None:
    await with_release(device, "1")
    for sequence in (1, 2, 77):
        await device.deliver("1", sequence)
    assert device.journal.steps == []
    assert device.journal.noted == [1, 2, 77]


async def test_going_back_to_content_on_disk_fetches_nothing(device: Device) -> None:
    await with_release(device, "1")
    await device.deliver("2")
    device.world.fetched.clear()
    await device.deliver("1", 3)
    assert device.world.fetched == []
    assert device.world.current == release("1").id
    assert device.world.previous_link == release("2").id


async def test_an_empty_manifest_changes_nothing(device: Device) -> None:
    await with_release(device, "1")
    conductor = device.start()
    for nothing in (None, Deployment(9, Release(()))):
        conductor.offer(nothing)
        await device.settle(conductor)
    assert device.journal.steps == []
    assert device.world.serving == release("1").id


async def test_a_release_without_labels_is_refused_and_remembered(device: Device) -> None:
    await with_release(device, "1")
    conductor = device.start()
    for sequence in (2, 3):
        conductor.offer(Deployment(sequence, release("2", labels=False)))
        await device.settle(conductor)
    assert device.journal.path == ["manifest-received", "reporting", "idle"]
    assert device.journal.rejected == {release("2", labels=False).id: "incomplete-release"}


@pytest.mark.parametrize(
    ("step", "reason", "path"),
    [
        (
            "fetch",
            Rejection.HASH_MISMATCH,
            ["manifest-received", "downloading", "reporting", "idle"],
        ),
        (
            "verify",
            Rejection.LABEL_COUNT_MISMATCH,
            ["manifest-received", "downloading", "verifying", "reporting", "idle"],
        ),
        (
            "prepare",
            Rejection.WORKER_REFUSED,
            [*GOOD_PATH[:4], "rolling-back", "reporting", "idle"],
        ),
        (
            "commit",
            Rejection.WORKER_REFUSED,
            [*GOOD_PATH[:4], "rolling-back", "reporting", "idle"],
        ),
    ],
)
async def test_bad_content_is_refused_once_and_never_looped(
    device: Device, step: str, reason: Rejection, path: list[str]
) -> None:
    await with_release(device, "1")
    device.world.accidents[step] = [Rejected(reason, "made up")]
    await device.deliver("2")
    assert device.journal.path == path
    assert device.journal.rejected == {release("2").id: str(reason)}
    assert device.world.serving == device.world.current == release("1").id
    await device.deliver("2", sequence=5)
    assert len(device.journal.steps) == len(path)


async def test_engine_failures_in_the_commit_window_roll_back(device: Device) -> None:
    await with_release(device, "1")

    def break_engine() -> None:
        device.world.errors += 1

    device.world.accidents["figures"] = [lambda: None, lambda: None, break_engine]
    await device.deliver("2")
    assert device.journal.path[-3:] == ["rolling-back", "reporting", "idle"]
    assert device.world.serving == device.world.current == release("1").id
    assert device.journal.rejected[release("2").id] == "commit-window-failed"
    assert device.journal.confirmed == [release("1").id]


async def test_a_first_release_that_fails_leaves_nothing_serving(device: Device) -> None:
    device.world.accidents["commit"] = [Rejected(Rejection.WORKER_REFUSED, "made up")]
    await device.deliver("1")
    assert device.world.serving is None
    assert device.world.current is None


async def test_a_lost_link_is_waited_for_without_a_limit(device: Device) -> None:
    device.world.accidents["fetch"] = list(postponed(Transient.LINK_LOST, 9))
    await device.deliver("1")
    assert device.journal.events.count("postpone") == 9
    assert device.world.serving == release("1").id


async def test_waits_grow_and_are_capped(device: Device) -> None:
    device.policy = Policy(first_retry=5, longest_retry=60)
    device.world.accidents["fetch"] = list(postponed(Transient.LINK_LOST, 6))
    await device.deliver("1")
    waits = [
        s.update.retry_delay for s in device.journal.steps if s.update and s.event == "postpone"
    ]
    assert waits == [5, 10, 20, 40, 60, 60]


async def test_progress_forgives_earlier_failures(device: Device) -> None:
    def lose_after_labels() -> None:
        raise Postponed(Transient.LINK_LOST, "made up")

    failures = list(postponed(Transient.LINK_LOST, 3))
    device.world.accidents["fetch"] = [*failures, lambda: None, lose_after_labels]
    await device.deliver("1")
    waits = [
        s.update.retry_delay for s in device.journal.steps if s.update and s.event == "postpone"
    ]
    assert waits == [5, 10, 20, 5]


async def test_a_full_disk_is_waited_for_and_heals(device: Device) -> None:
    device.world.free = 100

    def free_space() -> None:
        device.world.free = 1_000_000

    device.world.accidents["collect"] = [lambda: None, lambda: None, free_space]
    await device.deliver("1")
    assert device.journal.events.count("postpone") == 2
    assert device.world.serving == release("1").id


async def test_what_is_already_on_disk_needs_no_room(device: Device) -> None:
    device.world.free = 0
    device.world.blobs = {p.sha256 for p in release("1").packages}
    await device.deliver("1")
    assert "downloading" not in device.journal.path
    assert device.world.serving == release("1").id


async def test_a_release_larger_than_allowed_is_refused(device: Device) -> None:
    device.policy = Policy(largest_release=500)
    await device.deliver("1")
    assert device.journal.rejected == {release("1").id: "too-large"}


async def test_a_defect_is_tried_again_but_not_for_ever(device: Device) -> None:
    device.world.accidents["verify"] = [RuntimeError("defect")] * 20
    await device.deliver("1")
    assert device.journal.events.count("postpone") == device.policy.attempt_limit - 1
    assert device.journal.rejected == {release("1").id: "crash-loop"}


async def test_a_worker_that_is_away_postpones_before_anything_is_switched(device: Device) -> None:
    await with_release(device, "1")
    device.world.accidents["prepare"] = list(postponed(Transient.WORKER_AWAY, 2))
    await device.deliver("2")
    assert device.journal.events.count("postpone") == 2
    assert device.world.switches == [release("1").id, release("2").id]
    assert device.journal.rejected == {}


async def test_a_worker_lost_after_the_switch_goes_back_and_tries_again(device: Device) -> None:
    await with_release(device, "1")
    device.world.accidents["commit"] = list(postponed(Transient.WORKER_AWAY, 1))
    await device.deliver("2")
    one, two = release("1").id, release("2").id
    assert device.world.switches == [one, two, one, two]
    assert device.world.serving == two
    assert "restored_for_retry" in device.journal.events


async def test_a_silent_camera_is_not_the_models_fault_at_first(device: Device) -> None:
    await with_release(device, "1")
    device.world.camera = False
    device.policy = replace(device.policy, attempt_limit=2)
    conductor = device.start()
    conductor.offer(deployment("2"))
    async with device.pumping():
        while conductor.state != "awaiting-retry":
            await conductor.step()
    assert conductor.update is not None
    assert conductor.update.reason is Transient.NO_FRAMES
    assert device.world.current == release("1").id
    assert device.journal.rejected == {}


@pytest.mark.parametrize("state", ["downloading", "verifying"])
async def test_a_newer_manifest_takes_over_where_nothing_is_switched(
    device: Device, state: str
) -> None:
    conductor = device.start()
    step = {"downloading": "fetch", "verifying": "verify"}[state]
    stuck = asyncio.Event()

    async def hang(*_: object) -> None:
        stuck.set()
        await asyncio.Event().wait()

    original = getattr(device.world, step)
    setattr(device.world, step, hang)
    conductor.offer(deployment("1"))
    running = asyncio.ensure_future(device.settle(conductor))
    await stuck.wait()
    assert conductor.state == state
    setattr(device.world, step, original)
    conductor.offer(deployment("2", 2))
    await running
    assert device.world.serving == release("2").id
    ended = [s.ended for s in device.journal.steps if s.ended]
    assert [e.outcome for e in ended] == [Outcome.SUPERSEDED]
    assert device.journal.rejected == {}


async def test_a_newer_manifest_ends_a_commit_window(device: Device) -> None:
    await with_release(device, "1")
    device.policy = replace(device.policy, window=WindowLimits(frames=1000))
    conductor = device.start()
    newer = deployment("3", 3)
    device.world.accidents["figures"] = [lambda: None, lambda: conductor.offer(newer)]
    conductor.offer(deployment("2", 2))
    await device.settle(conductor)
    assert device.world.serving == release("3").id
    assert device.journal.rejected == {}
    assert device.journal.confirmed == [release("3").id, release("1").id]


async def test_a_withdrawn_deployment_cancels_the_download(device: Device) -> None:
    conductor = device.start()
    device.world.accidents["fetch"] = list(postponed(Transient.LINK_LOST, 99))
    conductor.offer(deployment("1"))
    async with device.pumping():
        while conductor.state != "awaiting-retry":
            await conductor.step()
        conductor.offer(None)
        await conductor.step()
    assert device.journal.steps[-1].event == "cancel"
    await device.settle(conductor)
    assert device.world.serving is None


async def test_a_state_that_never_ends_meets_its_deadline(device: Device) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    device.world.verify = hang  # type: ignore[assignment, method-assign]
    await device.deliver("1")
    assert device.journal.rejected == {release("1").id: "deadline"}


async def test_rolling_back_is_never_given_up(device: Device) -> None:
    await with_release(device, "1")
    device.world.accidents["commit"] = [Rejected(Rejection.WORKER_REFUSED, "made up")]
    disk = list(postponed(Transient.STORAGE_ERROR, 3))
    device.world.accidents["switch"] = [lambda: None, *disk]
    await device.deliver("2")
    assert device.world.current == device.world.serving == release("1").id


async def test_a_journal_that_cannot_be_written_stops_the_machine_until_it_can(
    device: Device,
) -> None:
    commit, failures = device.journal.commit, list(postponed(Transient.DISK_FULL, 3))

    def full_disk(step: Transition) -> None:
        if failures and step.target == "verifying":
            raise failures.pop()
        commit(step)

    device.journal.commit = full_disk  # type: ignore[assignment, method-assign]
    await device.deliver("1")
    assert device.journal.path == GOOD_PATH
    assert not failures


@pytest.mark.parametrize(
    "shortage",
    [OSError(errno.EMFILE, "made up"), MemoryError(), RuntimeError("can't start new thread")],
    ids=["descriptors", "memory", "threads"],
)
async def test_a_shortage_of_the_machine_is_never_held_against_a_release(
    device: Device, shortage: Exception
) -> None:
    def fail() -> None:
        raise shortage

    device.world.accidents["switch"] = [fail] * (device.policy.attempt_limit + 3)
    await device.deliver("1")
    assert device.journal.rejected == {}
    assert device.world.serving == release("1").id
    assert {
        s.update.reason for s in device.journal.steps if s.event == "postpone" and s.update
    } == {Transient.NO_RESOURCES}


async def held(device: Device, version: str) -> Conductor:
    """A device whose update waits at a closed gate."""
    conductor = device.start()
    conductor.offer(deployment(version, 2))
    async with device.pumping():
        while conductor.state != "held":
            await conductor.step()
    return conductor


async def test_a_closed_download_gate_holds_the_update_until_it_opens(device: Device) -> None:
    await with_release(device, "1")
    device.world.closed_gates = {Step.DOWNLOAD}
    conductor = await held(device, "2")
    assert device.world.fetched == []
    device.world.closed_gates = set()
    await device.settle(conductor)
    assert device.world.serving == release("2").id
    assert conductor.update is None


async def test_a_closed_activation_gate_lets_the_download_go_on(device: Device) -> None:
    await with_release(device, "1")
    device.world.closed_gates = {Step.ACTIVATION}
    conductor = await held(device, "2")
    assert device.world.missing(release("2")) == ()
    assert device.world.serving == device.world.current == release("1").id
    device.world.closed_gates = set()
    await device.settle(conductor)
    assert device.world.serving == release("2").id
    assert len(device.world.fetched) == 2, "nothing is fetched twice"


async def test_a_gate_that_closes_in_mid_download_breaks_it_off(device: Device) -> None:
    fetch = device.world.fetch

    async def slow(*_: Any, **__: Any) -> None:
        device.world.closed_gates = {Step.DOWNLOAD}
        await asyncio.Event().wait()

    device.world.fetch = slow  # type: ignore[method-assign]
    conductor = await held(device, "1")
    assert device.journal.events[-1] == "hold"
    device.world.fetch = fetch  # type: ignore[method-assign]
    device.world.closed_gates = set()
    await device.settle(conductor)
    assert device.world.serving == release("1").id


async def test_a_held_update_gives_way_to_a_newer_one(device: Device) -> None:
    device.world.closed_gates = {Step.DOWNLOAD}
    conductor = await held(device, "1")
    conductor.offer(deployment("2", 3))
    device.world.closed_gates = set()
    await device.settle(conductor)
    assert device.world.serving == release("2").id
    assert device.world.switches == [release("2").id]


async def test_an_unknown_state_leads_back_to_the_previous_release(device: Device) -> None:
    await with_release(device, "1")
    await device.deliver("2")
    device.journal.state = "made-up"
    conductor = device.start()
    assert conductor.state == "rolling-back"
    await device.settle(conductor)
    assert device.world.current is not None
    assert device.journal.rejected == {}


async def test_content_that_takes_the_agent_down_is_given_up(device: Device) -> None:
    await with_release(device, "1")
    device.world.accidents["verify"] = [PowerCut()] * 50
    with pytest.raises(PowerCut):
        await device.deliver("2")
    for _ in range(device.policy.resume_limit):
        with pytest.raises(PowerCut):
            await device.settle(device.start())
    await device.settle(device.start())
    assert device.journal.rejected == {release("2").id: "crash-loop"}
    assert device.world.serving == release("1").id


@pytest.mark.parametrize("commits", range(7))
async def test_a_power_cut_before_any_commit_only_repeats_a_step(
    device: Device, commits: int
) -> None:
    await with_release(device, "1")
    device.journal.cut_before = commits
    with pytest.raises(PowerCut):
        await device.deliver("2")
    device.journal.cut_before = None
    await device.deliver("2")
    assert device.world.serving == device.world.current == release("2").id
    assert device.world.previous_link == release("1").id
    assert sorted(device.world.fetched) == sorted(p.sha256 for p in release("2").packages)


@pytest.mark.parametrize(
    "step", ["fetch", "verify", "assemble", "prepare", "switch", "switched", "commit", "figures"]
)
async def test_a_power_cut_within_any_step_only_repeats_it(device: Device, step: str) -> None:
    await with_release(device, "1")
    device.world.accidents[step] = [PowerCut()]
    with pytest.raises(PowerCut):
        await device.deliver("2")
    await device.deliver("2")
    assert device.world.serving == device.world.current == release("2").id
    assert device.world.previous_link == release("1").id


@pytest.mark.parametrize("state", sorted(STATES - {"idle"}))
async def test_an_update_stored_in_any_state_is_finished(device: Device, state: str) -> None:
    await with_release(device, "1")
    await device.deliver("2")
    step = next(s for s in reversed(device.journal.steps) if s.update)
    assert step.update is not None
    device.world.current, device.world.serving = release("1").id, release("1").id
    outcome = Outcome.ROLLED_BACK if state in {"rolling-back", "reporting"} else None
    device.journal.update = replace(
        step.update, outcome=outcome, fallback=release("1").id, retry_delay=7.0
    )
    device.journal.state = state
    if state == "confirming":
        device.world.current = release("2").id
    await device.settle(device.start())
    expected = "1" if outcome else "2"
    assert device.world.current == device.world.serving == release(expected).id


async def test_other_limits_hold_from_the_next_commit_window_on(device: Device) -> None:
    conductor = device.start()
    other = replace(device.policy, window=WindowLimits(frames=50))
    device.world.accidents["figures"] = [lambda: None, lambda: conductor.go_by(other)]
    limits = []
    for version in ("1", "2"):
        conductor.offer(deployment(version))
        await device.settle(conductor)
        limits.append(device.journal.evidence_of("window")[-1]["limits"]["frames"])
    assert limits == [300, 50]
    assert set(device.journal.confirmed) == {release("1").id, release("2").id}
