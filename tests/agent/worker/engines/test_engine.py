"""The worker's end of an engine process, with a peer that does as told."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from agent.worker.camera.frames import Frame
from agent.worker.choices import Preprocessing
from agent.worker.engines.engine import Answer, Engine, Outcome
from agent.worker.engines.engine_process import MESSAGE_BYTES
from agent.worker.engines.process import EngineProcess
from agent.worker.engines.settings import EngineSettings
from agent.worker.errors import EngineFailed
from agent.worker.sandbox.starvation import LONGER_TIMES
from states.reasons import Rejection

SETTINGS = EngineSettings("auto", 1, 3, Preprocessing(), 5.0, 5.0, 5.0, 0)


@dataclass
class Told:
    """Stands for the process alone; the connection is a real one."""

    connection: socket.socket
    starved: bool = False

    def processor_seconds(self) -> float:
        """None."""
        return 0.0

    def is_starved(self, _seconds: float, _used_before: float) -> bool:
        """Whether it would go on if it could."""
        return self.starved

    def last_words(self) -> str:
        """None."""
        return ""

    async def ending(self) -> str:
        """It was."""
        return "was killed by SIGSEGV"

    def kill(self) -> None:
        """It is gone already."""

    async def end(self) -> None:
        """Nothing is left but the connection."""
        self.connection.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The worker's end of a connection, and the engine's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


async def test_what_an_engine_answered_before_it_crashed_counts(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    engine = Engine(cast(EngineProcess, Told(ours)), SETTINGS)
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


async def silence(process: Told, patience: float) -> tuple[EngineFailed, float]:
    engine = Engine(cast(EngineProcess, process), SETTINGS)
    engine.be_patient(patience)
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    asked_at = asyncio.get_running_loop().time()
    engine.submit(Frame(1, 1, 2, 2, captured_at=0.0), outcome.set_result)
    failure = await outcome
    await engine.close()
    assert isinstance(failure, EngineFailed)
    return failure, asyncio.get_running_loop().time() - asked_at


async def test_an_engine_without_a_processor_is_given_longer_but_not_for_ever(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    failure, seconds = await silence(Told(pair[0], starved=True), 0.05)
    assert failure.reason is Rejection.MODEL_HUNG
    assert seconds >= LONGER_TIMES * 0.05


async def test_a_model_that_is_not_let_to_load_is_given_longer_than_one_that_hangs(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    settings = replace(SETTINGS, load_seconds=0.2, frame_seconds=0.01)
    engine = Engine(cast(EngineProcess, Told(ours, starved=True)), settings)
    loading = asyncio.create_task(engine._loaded())
    await asyncio.sleep(2 * settings.load_seconds)
    assert not loading.done()
    theirs.send(json.dumps({"ready": {"runtime": "a slow one"}}).encode())
    assert await loading == {"runtime": "a slow one"}
    await engine.close()
