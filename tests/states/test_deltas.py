"""When a patch is worth its bytes, and what it adds to a plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from states.deltas import best_companion, patches_for
from states.model import Companion, Package
from states.ports import Postponed
from states.reasons import Transient
from tests.states.memory_journal import PowerCut
from tests.states.world import Device, World, deployment, release

MODEL = Package("ai-model", "2", "2" * 64, 1000)
LABELS = Package("labels", "1", "3" * 64, 10)


def companion(size: int, base: str = "1", package: str = "ai-model") -> Companion:
    return Companion(package, base * 8, Package(f"{package}-delta", "v", base * 64, size))


def world(*held: str, **partial: int) -> World:
    return World(blobs={digit * 64 for digit in held}, partial=dict(partial))


def test_a_smaller_patch_of_a_held_base_is_taken() -> None:
    patch = companion(999)
    assert best_companion(MODEL, [patch], world("1")) == patch


def test_a_patch_without_its_base_is_not() -> None:
    assert best_companion(MODEL, [companion(1)], world("4")) is None


def test_a_patch_as_large_as_the_package_is_not() -> None:
    assert best_companion(MODEL, [companion(1000)], world("1")) is None


def test_what_is_already_fetched_of_the_package_counts() -> None:
    held = world("1")
    held.partial[MODEL.sha256] = 900
    assert best_companion(MODEL, [companion(100)], held) is None
    assert best_companion(MODEL, [companion(99)], held) is not None


def test_what_is_already_fetched_of_a_patch_counts() -> None:
    held = world("1", "5")
    begun = companion(600, "5")
    held.partial[begun.patch.sha256] = 200
    held.partial[MODEL.sha256] = 550
    assert best_companion(MODEL, [companion(500), begun], held) == begun


def test_the_smallest_usable_patch_is_taken() -> None:
    patches = [companion(300, "1"), companion(100, "4"), companion(200, "5")]
    assert best_companion(MODEL, patches, world("1", "5")) == patches[2]


def test_a_patch_belongs_to_one_package() -> None:
    patch = companion(5)
    assert best_companion(LABELS, [patch], world("1")) is None
    assert patches_for([LABELS, MODEL], [patch], world("1")) == (patch.patch,)


def test_a_patch_needs_room_beside_the_package() -> None:
    held = world("1")
    held.free = 1050
    assert best_companion(MODEL, [companion(50)], held) is not None
    assert best_companion(MODEL, [companion(51)], held) is None


async def test_without_room_for_a_patch_the_update_goes_on_in_full() -> None:
    device = Device()
    device.world.free = 1010
    device.world.blobs.add("7" * 64)
    conductor = device.start()
    conductor.offer(replace(deployment("1"), companions=(companion(51, "7"),)))
    await device.settle(conductor)
    assert device.world.serving == release("1").id


async def test_a_patch_that_gets_on_over_a_bad_link_is_tried_again_soon() -> None:
    device = Device()
    device.world.blobs.add("7" * 64)
    patch = companion(500, "7")

    def some_of_it() -> None:
        partial = device.world.partial
        partial[patch.patch.sha256] = partial.get(patch.patch.sha256, 0) + 50
        raise Postponed(Transient.LINK_LOST, "made up")

    device.world.accidents["fetch"] = [some_of_it] * 6
    conductor = device.start()
    conductor.offer(replace(deployment("1"), companions=(patch,)))
    await device.settle(conductor)
    delays = [
        s.update.retry_delay for s in device.journal.steps if s.event == "postpone" and s.update
    ]
    assert delays == [device.policy.first_retry] * 6


async def test_companions_reach_the_fetcher_and_leave_the_release_alone() -> None:
    device = Device()
    seen: list[tuple[Companion, ...]] = []
    fetch = device.world.fetch

    async def noting(packages, progress, companions) -> None:  # type: ignore[no-untyped-def]
        seen.append(companions)
        await fetch(packages, progress, companions)

    device.world.fetch = noting  # type: ignore[method-assign]
    conductor = device.start()
    conductor.offer(replace(deployment("1"), companions=(companion(5),)))
    await device.settle(conductor)
    assert seen == [(companion(5),)]
    assert device.world.serving == release("1").id


async def test_an_agent_that_keeps_dying_in_a_download_does_without_patches() -> None:
    device = Device()
    offered = replace(deployment("1"), companions=(companion(5),))
    seen: list[tuple[Companion, ...]] = []

    async def killed(packages, progress, companions) -> None:  # type: ignore[no-untyped-def]
        seen.append(companions)
        raise PowerCut

    device.world.fetch = killed  # type: ignore[method-assign]
    for _ in range(device.policy.resume_limit + 2):
        conductor = device.start()
        conductor.offer(offered)
        with pytest.raises(PowerCut):
            await device.settle(conductor)
    assert seen == [offered.companions] * (device.policy.resume_limit + 1) + [()]


async def test_new_companions_for_the_same_release_start_nothing() -> None:
    device = Device()
    conductor = await device.deliver("1")
    steps = len(device.journal.steps)
    conductor.offer(replace(deployment("1", 2), companions=(companion(5),)))
    await device.settle(conductor)
    assert len(device.journal.steps) == steps
