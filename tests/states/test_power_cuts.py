"""An agent that is started again anywhere in an update."""

from __future__ import annotations

from dataclasses import replace

import pytest

from states.machine import STATES
from states.update import Outcome
from tests.states.memory_journal import PowerCut
from tests.states.world import Device, release


async def test_an_unknown_state_leads_back_to_the_previous_release(device: Device) -> None:
    await device.begin_with("1")
    await device.deliver("2")
    device.journal.state = "made-up"
    conductor = device.start()
    assert conductor.state == "rolling-back"
    await device.settle(conductor)
    assert device.world.current is not None
    assert device.journal.rejected == {}


async def test_content_that_takes_the_agent_down_is_given_up(device: Device) -> None:
    await device.begin_with("1")
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
    await device.begin_with("1")
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
    await device.begin_with("1")
    device.world.accidents[step] = [PowerCut()]
    with pytest.raises(PowerCut):
        await device.deliver("2")
    await device.deliver("2")
    assert device.world.serving == device.world.current == release("2").id
    assert device.world.previous_link == release("1").id


@pytest.mark.parametrize("state", sorted(STATES - {"idle"}))
async def test_an_update_stored_in_any_state_is_finished(device: Device, state: str) -> None:
    await device.begin_with("1")
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
