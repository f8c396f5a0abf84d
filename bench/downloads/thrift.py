"""What downloads cost beside time: bytes fetched twice, bytes written, bytes over the air."""

from __future__ import annotations

import asyncio
import hashlib
import random
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

from bench.downloads.races import BLOCK, Arena, Ours, finished
from bench.downloads.speed import case
from bench.link import Conditions, Link, link_to
from bench.report import Row
from bench.support.child import Child
from bench.support.cloud import MODEL, Target
from protocol.delta import companion_name, companion_version, make_patch

_RESUME_ROAD = "rtt=50ms rate=8Mbit/s"
_RESUME_RATE = 8_000_000
_RESUME_CONDITIONS = Conditions.both_ways(0.05, bits_per_second=_RESUME_RATE)
_UNTIL_ALL_HAS_PASSED = 1.0  # the round trip and a full queue
_MODELS = Path(__file__).parents[2] / "demo" / "models"


def journal(size: int, runs: list[Ours]) -> Row:
    """Bytes the journal wrote for each byte of the file: database, WAL and what copies it."""
    written = median(run.written_bytes - size for run in runs)
    note = f"{written / 1024:.0f} KiB of SQLite writes"
    return Row(case("loopback", size), "journal bytes per byte", "", written / size, note=note)


# Resuming.


async def resume(arena: Arena, target: Target, kills: int, seed: int = 1) -> list[Row]:
    """SIGKILL at random points of downloads; what had come by then and came once more, in blocks.

    Counted at the link: only answers with a block are as long as one.
    """
    dice = random.Random(seed)
    # So that the kills are spread over one whole download, more or less.
    longest = 2 * target.size * 8 / _RESUME_RATE / kills
    waits = [dice.uniform(0.02, longest) for _ in range(kills)]
    async with link_to(arena.cloud.coap, _RESUME_CONDITIONS, seed=seed) as link:
        losses = await _kill_and_resume(arena, target, link, waits)
    name = f"SIGKILL at {kills} points {case(_RESUME_ROAD, target.size)}"
    again, under_way, had = zip(*losses, strict=True)
    arena.say(f"{name}: {mean(again):.0f} KiB fetched again for each")
    note = f"KiB: {', '.join(map(str, again))}; baseline: starting over at block 0"
    return [
        Row(name, "fetched again for each", "KiB", mean(again), mean(had), note=note),
        Row(name, "fetched again at most", "KiB", max(again), max(had)),
        Row(name, "on its way to a dead process", "KiB", mean(under_way), note="radio time lost"),
    ]


class _Loss(NamedTuple):
    """Because of one kill: blocks that were there and came again, and those on their way."""

    again: int
    under_way: int
    had: int


async def _kill_and_resume(
    arena: Arena, target: Target, link: Link, waits: list[float]
) -> list[_Loss]:
    credential = await arena.credential(target)
    losses: list[_Loss] = []
    state_dir, killed = arena.new_folder(), False
    had = under_way = 0
    while True:
        async with arena.device(
            target, link.address, state_dir=state_dir, credential=credential
        ) as device:
            held = -(-device.greeting["held_bytes"] // BLOCK)
            if killed:
                losses.append(_Loss(had - held, under_way, had))
            if len(losses) == len(waits):
                return losses
            before = await _passed(link)
            killed = not await _is_done_within(device, waits[len(losses)])
            if not killed:
                state_dir = arena.new_folder()
                continue
            await device.kill()
            passed = await _passed(link)
        had = held + passed - before
        await asyncio.sleep(_UNTIL_ALL_HAS_PASSED)
        under_way = await _passed(link) - passed


async def _is_done_within(device: Child, seconds: float) -> bool:
    await device.tell()
    try:
        async with asyncio.timeout(seconds):
            await device.hear("done")
    except TimeoutError:
        return False
    return True


async def _passed(link: Link) -> int:
    """Answers with a block that have left the link."""
    return (await link.statistics()).down.full


# Patches.


async def patched(arena: Arena) -> list[Row]:
    """Bytes over the air for a retrained head, to a device that holds the model before it."""
    base, target = (
        (_MODELS / name).read_bytes()
        for name in ("model-2.tflite", "model-2-retrained-head.tflite")
    )
    digests = [hashlib.sha256(content).hexdigest() for content in (base, target)]
    patch = (companion_name(MODEL), companion_version(*digests), make_patch(base, target))
    held = await asyncio.to_thread(arena.cloud.deploy, "base", base)
    credential, state_dir = await arena.credential(held), arena.new_folder()
    await _fetch(arena, held, credential, state_dir)
    deploy = partial(arena.cloud.deploy, "retrained", target, cohort=held.cohort, patch=patch)
    wanted = await asyncio.to_thread(deploy)
    through_patch = await _fetch(arena, wanted, credential, state_dir)
    # Another device holds nothing, so it fetches the file in full.
    in_full = await _fetch(arena, wanted, await arena.credential(wanted), arena.new_folder())
    share = 100 * through_patch / in_full
    arena.say(f"a retrained head: {through_patch:,} bytes with a patch, {in_full:,} without")
    note = f"the patch itself has {len(patch[2]):,} bytes, the model {len(target):,}"
    name = "head-only retrain of demo/models/model-2"
    return [
        Row(name, "bytes over the air", "B", through_patch, in_full, note=note),
        Row(name, "share of the full file", "%", share),
    ]


async def _fetch(arena: Arena, target: Target, credential: dict[str, str], state_dir: Path) -> int:
    """Download and return the bytes both ways since the manifest was there."""
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(link_to(arena.cloud.coap))
        device = await stack.enter_async_context(
            arena.device(target, link.address, state_dir=state_dir, credential=credential)
        )
        before = await link.statistics()
        await device.tell()
        await finished(device)
        after = await link.statistics()
    return sum(
        getattr(after, way).passed_bytes - getattr(before, way).passed_bytes
        for way in ("up", "down")
    )
