"""The law as a whole: what becomes of one device under every kind of manifest."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from states.model import Deployment, Release
from states.policy import Policy, WindowLimits
from states.ports import Rejected
from states.reasons import Rejection, Transient
from states.update import Outcome
from tests.states.world import GOOD_PATH, Device, deployment, postponed, release


async def test_a_new_release_is_fetched_verified_switched_to_and_confirmed(device: Device) -> None:
    await device.deliver("1")
    assert device.journal.path == GOOD_PATH
    assert device.world.serving == device.world.current == release("1").id
    assert device.journal.confirmed == [release("1").id]


async def test_the_same_content_is_a_no_op_whatever_its_sequence_number(device: Device) -> None:
    await device.begin_with("1")
    for sequence in (1, 2, 77):
        await device.deliver("1", sequence)
    assert device.journal.steps == []
    assert device.journal.noted == [1, 2, 77]


async def test_going_back_to_content_on_disk_fetches_nothing(device: Device) -> None:
    await device.begin_with("1")
    await device.deliver("2")
    device.world.fetched.clear()
    await device.deliver("1", 3)
    assert device.world.fetched == []
    assert device.world.current == release("1").id
    assert device.world.previous_link == release("2").id


async def test_an_empty_manifest_changes_nothing(device: Device) -> None:
    await device.begin_with("1")
    conductor = device.start()
    for nothing in (None, Deployment(9, Release(()))):
        conductor.offer(nothing)
        await device.settle(conductor)
    assert device.journal.steps == []
    assert device.world.serving == release("1").id


async def test_a_release_without_labels_is_refused_and_remembered(device: Device) -> None:
    await device.begin_with("1")
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
    await device.begin_with("1")
    device.world.accidents[step] = [Rejected(reason, "made up")]
    await device.deliver("2")
    assert device.journal.path == path
    assert device.journal.rejected == {release("2").id: str(reason)}
    assert device.world.serving == device.world.current == release("1").id
    await device.deliver("2", sequence=5)
    assert len(device.journal.steps) == len(path)


async def test_engine_failures_in_the_commit_window_roll_back(device: Device) -> None:
    await device.begin_with("1")

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


async def test_a_release_larger_than_allowed_is_refused(device: Device) -> None:
    device.policy = Policy(largest_release=500)
    await device.deliver("1")
    assert device.journal.rejected == {release("1").id: "too-large"}


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
    await device.begin_with("1")
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
