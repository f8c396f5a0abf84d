"""Signed releases in the life of a device: what is fetched, switched, refused and remembered."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from states.conductor import Conductor
from states.gates import Step
from states.model import Deployment, Package
from states.policy import Policy
from states.ports import Postponed
from states.reasons import Rejection, Transient
from states.trust import SignedKeys, SignedRelease
from states.update import Outcome
from tests.states.memory_journal import PowerCut
from tests.states.world import Device, release


class SignedDevice(Device):
    """A device that trusts the key ``root``."""

    def __init__(self) -> None:
        super().__init__(Policy(trusted_keys=frozenset({"root"})))

    def signed(self, version: str, number: int, by: str = "root", *lists: SignedKeys) -> Deployment:
        """A deployment of :func:`release` of that version, with a signature of its own."""
        wanted = release(version)
        digest = f"{number}{by}{version}".encode().hex().ljust(64, "0")
        self.world.documents[digest] = SignedRelease(
            number, frozenset(wanted.packages), frozenset({by}), key_lists=lists
        )
        package = Package("release-signature", str(number), digest, 900)
        return Deployment(number, wanted, signature=package)

    async def take(self, *deployments: Deployment) -> Conductor:
        conductor = self.start()
        for each in deployments:
            conductor.offer(each)
            await self.settle(conductor)
        return conductor

    @property
    def last(self) -> tuple[Outcome | None, object]:
        update = self.journal.steps[-1].update
        assert update is not None
        return update.outcome, update.reason


@pytest.fixture
def device() -> SignedDevice:
    return SignedDevice()


async def test_the_signature_comes_first(device: SignedDevice) -> None:
    offered = device.signed("1", 1)
    await device.take(offered)
    assert offered.signature is not None
    assert device.world.fetched[0] == offered.signature.sha256
    assert device.world.serving == release("1").id


async def test_nothing_more_is_fetched_of_what_is_refused(device: SignedDevice) -> None:
    offered = device.signed("1", 1, "stranger")
    conductor = await device.take(offered)
    assert device.last == (Outcome.REJECTED, Rejection.SIGNATURE_UNKNOWN_KEY)
    assert offered.signature is not None
    assert device.world.fetched == [offered.signature.sha256]
    steps = len(device.journal.steps)
    conductor.offer(replace(offered, sequence=7))
    await device.settle(conductor)
    assert len(device.journal.steps) == steps, "it is not tried again"


async def test_an_unsigned_release_is_refused_and_taken_once_it_is_signed(
    device: SignedDevice,
) -> None:
    conductor = await device.take(Deployment(1, release("1")))
    assert device.last == (Outcome.REJECTED, Rejection.SIGNATURE_MISSING)
    assert device.world.fetched == []
    conductor.offer(device.signed("1", 2))
    await device.settle(conductor)
    assert device.world.serving == release("1").id
    assert device.journal.rejected_releases() == ()


async def test_a_replay_is_refused_also_after_a_roll_back(device: SignedDevice) -> None:
    first, second = device.signed("1", 1), device.signed("2", 2)
    conductor = await device.take(first, second)
    going_back = asyncio.ensure_future(conductor.roll_back())
    await asyncio.sleep(0)
    await device.settle(conductor)
    await going_back
    assert device.world.serving == release("1").id, "going back needs no signature"
    conductor.offer(device.signed("3", 3))
    await device.settle(conductor)
    conductor.offer(first)
    await device.settle(conductor)
    assert device.last == (Outcome.REJECTED, Rejection.SIGNATURE_REPLAYED)
    assert device.world.serving == release("3").id
    conductor.offer(device.signed("1", 4))
    await device.settle(conductor)
    assert device.world.serving == release("1").id


async def test_a_new_signature_of_what_serves_is_all_that_is_fetched(device: SignedDevice) -> None:
    conductor = await device.take(device.signed("1", 1))
    fetched, switches = len(device.world.fetched), len(device.world.switches)
    again = device.signed("1", 5)
    conductor.offer(again)
    await device.settle(conductor)
    assert again.signature is not None
    assert device.world.fetched[fetched:] == [again.signature.sha256]
    assert len(device.world.switches) == switches
    assert device.last[0] is Outcome.UNNEEDED
    conductor.offer(device.signed("2", 4))
    await device.settle(conductor)
    assert device.last == (Outcome.REJECTED, Rejection.SIGNATURE_REPLAYED)


async def test_keys_change_without_a_new_release(device: SignedDevice) -> None:
    newer = SignedKeys(1, frozenset({"root"}), frozenset({"daily"}), frozenset({"root"}))
    conductor = await device.take(device.signed("1", 1), device.signed("1", 2, "daily", newer))
    assert device.journal.trusted.release_keys == {"daily"}
    conductor.offer(device.signed("2", 3, "root"))
    await device.settle(conductor)
    assert device.last == (Outcome.REJECTED, Rejection.SIGNATURE_UNKNOWN_KEY)
    await device.take(device.signed("2", 4, "daily"))
    assert device.world.serving == release("2").id


async def test_other_pinned_keys_begin_anew(device: SignedDevice) -> None:
    await device.take(device.signed("1", 9), device.signed("2", 10, "other"))
    device.policy = Policy(trusted_keys=frozenset({"other"}))
    await device.take(device.signed("2", 10, "other"))
    assert device.world.serving == release("2").id
    assert device.journal.trusted.floor == 10


async def test_without_keys_nobody_asks(device: SignedDevice) -> None:
    device.policy = Policy()
    await device.take(Deployment(1, release("1")))
    assert device.world.serving == release("1").id


async def test_a_signature_that_is_not_to_be_had_gives_way_to_the_next(
    device: SignedDevice,
) -> None:
    device.world.accidents["fetch"] = [Postponed(Transient.NOT_FOUND, "made up")]
    conductor = device.start()
    conductor.offer(device.signed("1", 1))
    async with device.pumping():
        while conductor.state != "awaiting-retry":
            await conductor.step()
        conductor.offer(device.signed("1", 2))
        await conductor.step()
    assert device.journal.events[-1] == "supersede"
    await device.settle(conductor)
    assert device.world.serving == release("1").id


async def test_a_closed_gate_holds_the_signature_too(device: SignedDevice) -> None:
    device.world.closed_gates = {Step.DOWNLOAD}
    device.world.blobs |= {package.sha256 for package in release("1").packages}
    conductor = device.start()
    conductor.offer(device.signed("1", 1))
    async with device.pumping():
        await conductor.step()
        await conductor.step()
        assert conductor.state == "held"
        assert device.world.fetched == []
        device.world.closed_gates = set()
    await device.settle(conductor)
    assert device.journal.events.count("hold") == 1
    assert device.world.serving == release("1").id


async def test_something_too_large_for_a_signature_is_not_fetched(device: SignedDevice) -> None:
    offered = device.signed("1", 1)
    assert offered.signature is not None
    await device.take(replace(offered, signature=replace(offered.signature, size=1 << 30)))
    assert device.last == (Outcome.REJECTED, Rejection.SIGNATURE_MALFORMED)
    assert device.world.fetched == []


@pytest.mark.parametrize("cut", range(8))
async def test_a_power_cut_anywhere_takes_no_second_signature(
    device: SignedDevice, cut: int
) -> None:
    offered = device.signed("1", 1)
    device.journal.cut_before = cut
    with suppress(PowerCut):
        await device.take(offered)
    device.journal.cut_before = None
    await device.take(offered, device.signed("2", 1))
    assert device.world.serving == release("1").id
    assert device.last == (Outcome.REJECTED, Rejection.SIGNATURE_REPLAYED)
