"""Holding one fleet: all connect, rest, update, and come back to a restarted cloud."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from pathlib import Path

from bench.fleets.crowd import Cloud, Crowd, crowd
from bench.fleets.figures import Cost, Fleet, Mishaps, Restart, Update
from bench.fleets.probe import probe

_GOLIOTH_LIMIT = 20.0
_VERSION = "2"


class Forgotten(Exception):  # noqa: N818 - reads as what happened
    """The cloud's API does not know of all devices what they have told it."""


async def hold(folder: Path, devices: int, artifact_bytes: int, idle_seconds: float) -> Fleet:
    """Hold so many devices on a cloud of their own over ``folder``. Raises Forgotten."""
    with closing(Cloud(folder, _GOLIOTH_LIMIT)) as cloud:
        shown = await asyncio.to_thread(cloud.enroll, devices)
        further, empty = cloud.credential("probe"), cloud.memory
        async with crowd(cloud.coap, shown) as fleet:
            async with probe(cloud.coap, further) as pings:
                connecting = await _connect(cloud, fleet)
                await pings.take()
                idle = await _rest(cloud, idle_seconds)
                resident, idle_pings = cloud.memory - empty, await pings.take()
                update, mishaps = await _update(cloud, fleet, artifact_bytes)
                busy_pings = await pings.take()
            listed = await _list(cloud, devices)
            restart = await _restart(cloud, fleet)
    return Fleet(
        devices,
        artifact_bytes,
        connecting,
        resident,
        idle,
        update,
        listed,
        restart,
        idle_pings,
        busy_pings,
        mishaps,
    )


async def _connect(cloud: Cloud, fleet: Crowd) -> Cost:
    began, used = time.monotonic(), cloud.cpu_seconds
    await fleet.go_on()
    await fleet.reach("connected")
    observing = await fleet.reach("observing")
    return Cost(observing.last - began, cloud.cpu_seconds - used)


async def _rest(cloud: Cloud, seconds: float) -> Cost:
    began, used = time.monotonic(), cloud.cpu_seconds
    await asyncio.sleep(seconds)
    return Cost(time.monotonic() - began, cloud.cpu_seconds - used)


async def _update(cloud: Cloud, fleet: Crowd, size: int) -> tuple[Update, Mishaps]:
    artifact = await asyncio.to_thread(cloud.publish, _VERSION, size)
    began, used = time.monotonic(), cloud.cpu_seconds
    await asyncio.to_thread(cloud.deploy, artifact)
    notified = await fleet.reach("notified")
    fetched = await fleet.reach("fetched")
    reported = await fleet.reach("reported")
    update = Update(
        notified.last - began,
        fetched.last - began,
        reported.last - began,
        cloud.cpu_seconds - used,
    )
    return update, reported.mishaps


async def _list(cloud: Cloud, devices: int) -> float:
    began = time.monotonic()
    updated = await asyncio.to_thread(cloud.updated, _VERSION)
    if updated != devices:
        raise Forgotten(f"{updated} of {devices} devices have version {_VERSION} by the API")
    return time.monotonic() - began


async def _restart(cloud: Cloud, fleet: Crowd) -> Restart:
    await fleet.go_on()
    began = time.monotonic()
    await asyncio.to_thread(cloud.stop)
    await asyncio.to_thread(cloud.start)
    down = time.monotonic() - began
    await fleet.reach("connected")
    back = await fleet.reach("observing")
    return Restart(back.last - began, down, back.mishaps)
