"""Leaving a release outside of an update: an operator's order, or a worker that went back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from states.conductor import Conductor
from states.figures import WorkerFigures
from states.orders import OrderRefused
from states.policy import WindowLimits
from states.ports import Postponed, Rejected
from states.reasons import Rejection, Transient
from states.update import Outcome
from states.watch import Finding, finding
from tests.states.comparisons import ALIKE
from tests.states.world import Device, deployment, postponed, release

ONE, TWO, THREE = (release(version).id for version in "123")


@pytest.fixture
async def device() -> Device:
    """A device that serves release 2 and could go back to release 1."""
    device = Device()
    await device.deliver("1")
    await device.deliver("2", 2)
    return device


@asynccontextmanager
async def living(device: Device) -> AsyncIterator[Conductor]:
    """The agent at work, to which release 2 is still deployed."""
    conductor = device.start()
    conductor.offer(deployment("2", 2))
    async with device.pumping():
        running = asyncio.ensure_future(conductor.run())
        try:
            yield conductor
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def until(condition: Callable[[], object]) -> None:
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("never came about")


async def test_an_operator_goes_back_and_the_deployment_does_not_bring_it_on(
    device: Device,
) -> None:
    async with living(device) as conductor:
        assert await conductor.roll_back() == ONE
        await until(lambda: conductor.state == "idle" and not conductor.has_news)
        assert device.world.serving == device.world.current == ONE
        conductor.offer(deployment("2", 9))
        await until(lambda: device.journal.noted[-1:] == [9])
    assert device.journal.rejected == {TWO: "operator-rollback"}
    assert device.journal.events[-3:] == ["demote", "restored", "reported"]
    assert device.world.previous_link is None, "what was left is nothing to go back to"


async def test_what_was_left_is_let_in_again_by_a_retry(device: Device) -> None:
    async with living(device) as conductor:
        await conductor.roll_back()
        await until(lambda: conductor.state == "idle" and not conductor.has_news)
        assert conductor.retry() == f"release {TWO} is tried again now"
        await until(lambda: device.world.serving == TWO and conductor.state == "idle")
    assert device.journal.rejected == {}


async def test_an_operator_may_name_any_release_on_the_disk(device: Device) -> None:
    await device.deliver("3", 3)
    device.journal.rejected[ONE] = "operator-rollback"
    async with living(device) as conductor:
        assert await conductor.roll_back(ONE) == ONE
    assert device.journal.rejected == {THREE: "operator-rollback"}, "what was named is wanted"


async def test_without_a_name_rejected_releases_are_passed_over(device: Device) -> None:
    await device.deliver("3", 3)
    device.journal.rejected[TWO] = "engine-failing"
    async with living(device) as conductor:
        assert await conductor.roll_back() == ONE


@pytest.mark.parametrize(
    ("to", "why"),
    [(TWO, "is what serves"), ("f" * 16, "not on this device"), (None, "no other good release")],
)
async def test_an_order_that_makes_no_sense_is_refused(
    device: Device, to: str | None, why: str
) -> None:
    device.journal.rejected[ONE] = "engine-failing"
    with pytest.raises(OrderRefused, match=why):
        await device.start().roll_back(to)
    assert device.world.serving == TWO


async def test_a_roll_back_ends_a_commit_window(device: Device) -> None:
    device.policy = replace(device.policy, window=WindowLimits(frames=10_000))
    conductor = device.start()
    conductor.offer(deployment("3", 3))
    async with device.pumping():
        while conductor.state != "confirming":
            await conductor.step()
        order = asyncio.ensure_future(conductor.roll_back())
        while conductor.state != "idle":
            await conductor.step()
        assert await order == TWO
    assert device.world.serving == device.world.current == TWO
    assert device.journal.rejected == {THREE: "operator-rollback"}


async def test_a_roll_back_comes_before_an_update_that_waits(device: Device) -> None:
    device.world.accidents["fetch"] = list(postponed(Transient.LINK_LOST, 3))
    async with living(device) as conductor:
        conductor.offer(deployment("3", 3))
        await until(lambda: conductor.state == "awaiting-retry")
        assert await conductor.roll_back() == ONE
        await until(lambda: device.world.serving == THREE and conductor.state == "idle")
    assert device.journal.rejected == {TWO: "operator-rollback"}


async def test_a_retry_ends_a_wait(device: Device) -> None:
    device.policy = replace(device.policy, first_retry=1e6, longest_retry=1e6)
    device.world.accidents["fetch"] = list(postponed(Transient.LINK_LOST, 1))
    conductor = device.start()
    conductor.offer(deployment("3", 3))
    async with device.pumping():
        while conductor.state != "awaiting-retry":
            await conductor.step()
    waiting = asyncio.ensure_future(conductor.step())
    await asyncio.sleep(0)
    assert "tried again now" in conductor.retry()
    await waiting
    assert conductor.state == "manifest-received"
    with pytest.raises(OrderRefused, match="no release is rejected"):
        conductor.retry()


async def test_a_retry_before_the_device_is_connected_waits_for_the_manifest(
    device: Device,
) -> None:
    device.journal.rejected[THREE] = "deadline"
    conductor = device.start()
    assert "once the device is connected" in conductor.retry()
    assert not conductor.has_news
    with pytest.raises(OrderRefused, match="not rejected"):
        conductor.retry(ONE)


async def test_a_worker_that_went_back_by_itself_is_followed(device: Device) -> None:
    async with living(device) as conductor:
        await until(lambda: conductor.state == "idle" and not conductor.has_news)
        device.world.fall_back()
        await until(lambda: device.world.current == ONE and conductor.state == "idle")
        conductor.offer(deployment("2", 9))
        await until(lambda: device.journal.noted[-1:] == [9])
    assert device.world.serving == ONE
    assert device.journal.rejected == {TWO: "engine-failing"}
    demoted = next(s.update for s in device.journal.steps if s.event == "demote")
    assert demoted is not None
    assert demoted.outcome is Outcome.ROLLED_BACK
    assert demoted.detail == "its engine crashed"
    assert demoted.deployment.sequence == 2
    assert device.journal.events.count("demote") == 1


async def test_a_worker_that_went_back_because_the_active_release_was_late_is_asked_for_it(
    device: Device,
) -> None:
    async with living(device) as conductor:
        await until(lambda: conductor.state == "idle" and not conductor.has_news)
        device.world.fall_back(Transient.ENGINE_LATE)
        await until(lambda: device.world.serving == TWO)
    assert (device.world.current, device.journal.rejected) == (TWO, {})


async def test_a_worker_astray_is_asked_for_the_active_release_gently(device: Device) -> None:
    async with living(device) as conductor:
        await until(lambda: conductor.state == "idle" and not conductor.has_news)
        commits = device.world.commits
        device.world.serving = ONE
        await until(lambda: device.world.serving == TWO)
        assert device.world.commits == commits + 1
    assert device.journal.rejected == {}


async def test_an_active_release_the_worker_keeps_refusing_is_left(device: Device) -> None:
    refusal = Rejected(Rejection.MODEL_INVALID, "made up")
    device.world.accidents["prepare"] = [refusal] * device.policy.attempt_limit
    async with living(device) as conductor:
        await until(lambda: conductor.state == "idle" and not conductor.has_news)
        device.world.serving = ONE
        await until(lambda: device.world.current == ONE and conductor.state == "idle")
    assert device.journal.rejected == {TWO: "engine-failing"}


async def test_a_forgotten_shadow_is_let_go_and_an_absent_worker_is_no_news(
    device: Device,
) -> None:
    device.world.accidents["figures"] = [Postponed(Transient.WORKER_AWAY, "made up")] * 5
    async with living(device) as conductor:
        await until(lambda: conductor.state == "idle" and not conductor.has_news)
        device.world.shadow, device.world.comparing = ONE, ALIKE
        await until(lambda: device.world.shadow is None)
    assert device.journal.events[-1] == "reported"


@pytest.mark.parametrize(
    ("figures", "active", "found"),
    [
        (WorkerFigures("a", 0, 0, 0, 0), "a", Finding.FINE),
        (WorkerFigures(None, 0, 0, 0, 0), None, Finding.FINE),
        (WorkerFigures("a", 0, 0, 0, 0, fell_back_from="a"), "a", Finding.FINE),
        (WorkerFigures("b", 0, 0, 0, 0, fell_back_from="a"), "a", Finding.WENT_BACK),
        (
            WorkerFigures("b", 0, 0, 0, 0, fell_back_from="a", fell_back_for=Transient.ENGINE_LATE),
            "a",
            Finding.SERVES_ANOTHER,
        ),
        (WorkerFigures("b", 0, 0, 0, 0, fell_back_from="c"), "a", Finding.SERVES_ANOTHER),
        (WorkerFigures(None, 0, 0, 0, 0), "a", Finding.SERVES_ANOTHER),
    ],
)
def test_what_the_workers_figures_say_in_idle(
    figures: WorkerFigures, active: str | None, found: Finding
) -> None:
    assert finding(figures, active) is found
