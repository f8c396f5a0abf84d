"""Following a resource: what becomes of its observations."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from typing import cast

from aiocoap import CONTENT, INTERNAL_SERVER_ERROR, Message

from protocol.exchange import Exchange
from protocol.following import Followed, Follower, Pace
from protocol.observation import Observation
from protocol.pacing import Pacer
from protocol.trouble import Trouble


class Heard:
    """An observation, and what it has to say."""

    def __init__(self) -> None:
        self.waiting = deque([Message(code=CONTENT, payload=b"\x62OK", observe=1)])
        self.is_cancelled = False

    async def __anext__(self) -> Message:
        if not self.waiting:
            await asyncio.Event().wait()
        return self.waiting.popleft()

    def cancel(self) -> None:
        self.is_cancelled = True


class ScriptedExchange(Exchange):
    """Registers observations; whatever is under way then ends with an error of the server's."""

    def __init__(self) -> None:
        super().__init__(Pacer(None), timeout=1.0)
        self.observations: list[Heard] = []
        self.third = asyncio.Event()

    async def observe(self, message: Message, *, every: bool = False) -> Observation:
        for earlier in self.observations:
            earlier.waiting.append(Message(code=INTERNAL_SERVER_ERROR))
        self.observations.append(Heard())
        if len(self.observations) == 3:
            self.third.set()
        return cast("Observation", self.observations[-1])


async def test_no_observation_is_left_behind_when_its_replacement_fails() -> None:
    exchange = ScriptedExchange()
    trouble = Trouble(logging.getLogger(__name__), "calls")
    followed = Followed(".rpc", lambda *_: None, lambda _: None, trouble, events=True)
    pace = Pace(poll_interval=0.02, retry_initial=0.001, answer_timeout=20.0)
    following = asyncio.create_task(Follower(exchange, followed, pace).run())
    await asyncio.wait_for(exchange.third.wait(), 20)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    assert [one.is_cancelled for one in exchange.observations] == [True, True, True]
