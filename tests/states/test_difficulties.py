"""What heals by itself is waited for, and what does not is given up."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace

import pytest

from states.policy import Policy
from states.ports import Postponed, Rejected
from states.reasons import Rejection, Transient
from states.update import Transition
from tests.states.world import GOOD_PATH, Device, deployment, postponed, release


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


async def test_a_defect_is_tried_again_but_not_for_ever(device: Device) -> None:
    device.world.accidents["verify"] = [RuntimeError("defect")] * 20
    await device.deliver("1")
    assert device.journal.events.count("postpone") == device.policy.attempt_limit - 1
    assert device.journal.rejected == {release("1").id: "crash-loop"}


async def test_a_worker_that_is_away_postpones_before_anything_is_switched(device: Device) -> None:
    await device.begin_with("1")
    device.world.accidents["prepare"] = list(postponed(Transient.WORKER_AWAY, 2))
    await device.deliver("2")
    assert device.journal.events.count("postpone") == 2
    assert device.world.switches == [release("1").id, release("2").id]
    assert device.journal.rejected == {}


async def test_a_worker_lost_after_the_switch_goes_back_and_tries_again(device: Device) -> None:
    await device.begin_with("1")
    device.world.accidents["commit"] = list(postponed(Transient.WORKER_AWAY, 1))
    await device.deliver("2")
    one, two = release("1").id, release("2").id
    assert device.world.switches == [one, two, one, two]
    assert device.world.serving == two
    assert "restored_for_retry" in device.journal.events


async def test_a_silent_camera_is_not_the_models_fault_at_first(device: Device) -> None:
    await device.begin_with("1")
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


async def test_a_state_that_never_ends_meets_its_deadline(device: Device) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    device.world.verify = hang  # type: ignore[assignment, method-assign]
    await device.deliver("1")
    assert device.journal.rejected == {release("1").id: "deadline"}


async def test_rolling_back_is_never_given_up(device: Device) -> None:
    await device.begin_with("1")
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
