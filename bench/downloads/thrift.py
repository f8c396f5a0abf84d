"""What downloads cost beside time: bytes fetched twice, bytes written, bytes over the air."""

from __future__ import annotations

import asyncio
import hashlib
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median

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
    twice = [loss.twice for loss in losses]
    name = f"SIGKILL at {kills} points {case(_RESUME_ROAD, target.size)}"
    arena.say(f"{name}: {mean(twice):.0f} KiB twice for each")
    note = f"KiB: {', '.join(map(str, twice))}; baseline: starting over at block 0"
    had = mean(loss.had for loss in losses)
    return [
        Row(name, "fetched twice for each", "KiB", mean(twice), had, note=note),
        Row(name, "fetched twice at most", "KiB", max(twice), max(loss.had for loss in losses)),
    ]


@dataclass(frozen=True)
class _Loss:
    """Blocks that were there when a process was killed, and how many of them came again."""

    had: int
    twice: int


async def _kill_and_resume(
    arena: Arena, target: Target, link: Link, waits: list[float]
) -> list[_Loss]:
    credential = await arena.credential(target)
    losses: list[_Loss] = []
    state_dir, had = arena.new_folder(), 0
    while True:
        async with arena.device(
            target, link.address, state_dir=state_dir, credential=credential
        ) as device:
            # What was on its way to the killed process has passed the link by now.
            held = -(-device.greeting["held_bytes"] // BLOCK)
            if had:
                losses.append(_Loss(had, had - held))
            if len(losses) == len(waits):
                break
            before = (await link.statistics()).down.full
            if await _is_done_within(device, waits[len(losses)]):
                state_dir, had = arena.new_folder(), 0
                continue
            await device.kill()
        had = held + await _passed_since(link, before)
    return losses


async def _is_done_within(device: Child, seconds: float) -> bool:
    await device.tell()
    try:
        async with asyncio.timeout(seconds):
            await device.hear("done")
    except TimeoutError:
        return False
    return True


async def _passed_since(link: Link, before: int) -> int:
    """Blocks that went over the link, those that found nobody any more included."""
    await asyncio.sleep(4 * _RESUME_CONDITIONS.down.delay)
    return (await link.statistics()).down.full - before


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
