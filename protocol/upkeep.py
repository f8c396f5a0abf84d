"""What goes on over a link as long as it holds: following resources, and signs of life."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from protocol.client import ClientLink
from protocol.errors import LinkLost
from protocol.exchange import Exchange
from protocol.following import Followed, Follower, Pace
from protocol.session_settings import SessionSettings


async def use_until_lost(
    link: ClientLink,
    exchange: Exchange,
    followed: Iterable[Followed[Any]],
    settings: SessionSettings,
) -> None:
    """Follow these resources and keep the link alive; raises LinkLost, which always comes."""
    pace = Pace(settings.poll_interval, settings.observe_retry_initial, settings.request_timeout)
    followers = [Follower(exchange, part, pace) for part in followed]
    # No TaskGroup: one that is failing drops a cancellation from outside (Python 3.11, 3.12), and
    # the session of a refused device would go on after it was told to end.
    work = [
        _keep_alive(link, exchange, settings),
        *(follower.run() for follower in followers),
    ]
    tasks = [asyncio.create_task(part) for part in work]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    # The same loss reaches all tasks; one telling of it is enough.
    ended.pop().result()


async def _keep_alive(link: ClientLink, exchange: Exchange, settings: SessionSettings) -> None:
    """Ping when nothing was heard for a while; raises LinkLost once the link is dead."""
    loop = asyncio.get_running_loop()
    while not exchange.is_deaf:
        quiet = loop.time() - link.last_received
        remaining = settings.keepalive_interval - quiet
        if link.lost.is_set() or remaining <= 0:
            await link.ping(settings.ping_timeout)
            continue
        with suppress(TimeoutError):
            async with asyncio.timeout(remaining):
                await link.lost.wait()
    raise LinkLost("the server stays silent on requests; connecting anew")
