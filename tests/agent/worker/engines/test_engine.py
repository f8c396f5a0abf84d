"""The worker's end of an engine process, with a peer that does as told."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass
from typing import Any, cast

from agent.worker.camera.frames import Frame
from agent.worker.choices import Preprocessing
from agent.worker.engines.engine import Answer, Engine, EngineSettings, Outcome
from agent.worker.engines.engine_process import MESSAGE_BYTES
from agent.worker.engines.process import EngineProcess
from agent.worker.errors import EngineFailed

SETTINGS = EngineSettings("auto", 1, 3, Preprocessing(), 5.0, 5.0, 5.0, 0)


@dataclass
class Crashing:
    """Stands for the process alone; the connection is a real one."""

    connection: socket.socket

    async def ending(self) -> str:
        """It was."""
        return "was killed by SIGSEGV"

    def kill(self) -> None:
        """It is gone already."""

    async def end(self) -> None:
        """Nothing is left but the connection."""
        self.connection.close()


async def test_what_an_engine_answered_before_it_crashed_counts() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    engine = Engine(cast(EngineProcess, Crashing(ours)), SETTINGS)
    outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
    for number in range(2):
        engine.submit(Frame(number, number, 2, 2, captured_at=0.0), outcomes.put_nowait)
    asked: dict[str, Any] = json.loads(theirs.recv(MESSAGE_BYTES))
    answer = {"frame": asked["frame"], "top": [["red", 0.9]], "ms": [0.1, 2.0]}
    theirs.send(json.dumps(answer).encode())
    theirs.close()  # with the second frame unread
    assert await outcomes.get() == Answer([("red", 0.9)], 0.1, 2.0)
    failure = await outcomes.get()
    assert isinstance(failure, EngineFailed)
    assert "SIGSEGV" in failure.detail
    await engine.close()
