"""Updates that wait for their time, or for an operator to let them go."""

from __future__ import annotations

import asyncio
from typing import Any

from states.conductor import Conductor
from states.gates import Step
from tests.states.world import Device, deployment, release


async def held(device: Device, version: str) -> Conductor:
    """A device whose update waits at a closed gate."""
    conductor = device.start()
    conductor.offer(deployment(version, 2))
    async with device.pumping():
        while conductor.state != "held":
            await conductor.step()
    return conductor


async def test_a_closed_download_gate_holds_the_update_until_it_opens(device: Device) -> None:
    await device.begin_with("1")
    device.world.closed_gates = {Step.DOWNLOAD}
    conductor = await held(device, "2")
    assert device.world.fetched == []
    device.world.closed_gates = set()
    await device.settle(conductor)
    assert device.world.serving == release("2").id
    assert conductor.update is None


async def test_a_closed_activation_gate_lets_the_download_go_on(device: Device) -> None:
    await device.begin_with("1")
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
