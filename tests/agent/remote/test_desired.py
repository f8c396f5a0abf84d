"""What the operator desires in LightDB State: honoured, remembered, and answered for."""

from __future__ import annotations

import asyncio

import pytest

from agent.gate import write_hold
from agent.remote.desired import account, wish_of
from protocol.formats import PlainValue
from states.gates import Hold
from tests.support.device_and_cloud import RemoteDevice
from tests.support.waiting import until


@pytest.mark.parametrize(
    ("value", "hold", "faulty"),
    [
        (None, Hold.NOTHING, False),
        ({}, Hold.NOTHING, False),
        ({"hold": None}, Hold.NOTHING, False),
        ({"hold": "none"}, Hold.NOTHING, False),
        ({"hold": "activation"}, Hold.ACTIVATION, False),
        ({"hold": "everything"}, Hold.EVERYTHING, False),
        ({"hold": "everything", "speed": 5}, Hold.EVERYTHING, True),
        ({"hold": "nothing"}, None, True),
        ({"hold": True}, None, True),
        ({"hold": ["activation"]}, None, True),
        ("activation", None, True),
        ([], None, True),
        (7, None, True),
    ],
)
def test_a_desired_value_means(value: PlainValue, hold: Hold | None, faulty: bool) -> None:
    wish = wish_of(value)
    assert (wish.hold, wish.error is not None) == (hold, faulty)


@pytest.mark.parametrize("device", Hold)
@pytest.mark.parametrize("desired", Hold)
def test_the_stricter_hold_is_in_force(device: Hold, desired: Hold) -> None:
    order = {"none": 0, "activation": 1, "everything": 2}
    told = account(device, desired, None)
    ranks = {name: order[str(told[name])] for name in ("in_force", "device", "desired")}
    assert ranks["in_force"] == max(ranks["device"], ranks["desired"])


async def test_a_desired_hold_is_honoured_told_and_outlives_a_restart(device: RemoteDevice) -> None:
    async def state_is(name: str) -> bool:
        return bool(await device.state("edgeferry/state") == name)

    async def hold_is(**expected: str | None) -> bool:
        told = await device.state("edgeferry/hold") or {}
        return all(told.get(name) == value for name, value in expected.items())

    await device.desire({"hold": "everything"})
    async with device.agent():
        await until(lambda: hold_is(in_force="everything", device="none", desired="everything"))
        await device.deploy("1")
        await until(lambda: state_is("held"))
        status = await asyncio.to_thread(device.status)
        assert "edgeferry/desired" in status["waits_for"]
        assert status["hold"] == "everything"
        await device.desire({"hold": "all of it"})
        await until(lambda: hold_is(in_force="everything", error=WRONG))
        await device.desire({"hold": "activation"})
        # The files are fetched; a worker would be asked for only afterwards.
        await until(lambda: _fetched(device))
        write_hold(device.state_dir, Hold.EVERYTHING)
        await until(lambda: hold_is(in_force="everything", device="everything", error=None))
    async with device.agent(golioth={"uri": "coaps://127.0.0.1:9"}) as offline:
        assert offline.desired.hold is Hold.ACTIVATION
    write_hold(device.state_dir, Hold.NOTHING)
    await device.desire({"hold": "none"})
    async with device.agent():
        await until(lambda: hold_is(in_force="none", desired="none"))
        # Nothing holds it any more; without a worker it has to wait for that.
        await until(lambda: state_is("awaiting-retry"))


WRONG = "hold: write none, activation or everything, not 'all of it'"


async def _fetched(device: RemoteDevice) -> bool:
    status = await asyncio.to_thread(device.status)
    target = status["target"]
    return bool(
        target
        and status["state"] == "held"
        and target["bytes_done"] == target["bytes_total"]
        and status["hold"] == "activation"
    )
