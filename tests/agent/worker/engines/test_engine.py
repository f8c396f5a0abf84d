"""The worker's end of an engine process, with a peer that does as told."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any, cast

from agent.worker.camera.frames import Frame
from agent.worker.choices import Preprocessing
from agent.worker.engines.engine import Answer, Engine, EngineSettings, Outcome
from agent.worker.engines.engine_process import MESSAGE_BYTES
from agent.worker.engines.process import (
    EngineProcess,
    processor_seconds,
    waits_for_the_machine,
)
from agent.worker.errors import EngineFailed
from states.reasons import Rejection

SETTINGS = EngineSettings("auto", 1, 3, Preprocessing(), 5.0, 5.0, 5.0, 0)


@dataclass
class Told:
    """Stands for the process alone; the connection is a real one."""

    connection: socket.socket
    starved: bool = False
    used: float = 0.0

    def processor_seconds(self) -> float:
        """What it used so far."""
        return self.used

    def waits_for_the_machine(self) -> bool:
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


async def test_what_an_engine_answered_before_it_crashed_counts() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
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
    engine = Engine(cast(EngineProcess, process), replace(SETTINGS, frame_seconds=0.5))
    engine.be_patient(patience)
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    asked_at = asyncio.get_running_loop().time()
    engine.submit(Frame(1, 1, 2, 2, captured_at=0.0), outcome.set_result)
    failure = await outcome
    await engine.close()
    assert isinstance(failure, EngineFailed)
    return failure, asyncio.get_running_loop().time() - asked_at


async def test_an_engine_without_a_processor_is_given_longer_but_not_for_ever() -> None:
    ours, _theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    failure, seconds = await silence(Told(ours, starved=True), 0.05)
    assert failure.reason is Rejection.MODEL_HUNG
    assert seconds >= 0.5


async def test_an_engine_that_sleeps_or_spins_is_not_taken_for_starved() -> None:
    ours, _theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    engine = Engine(cast(EngineProcess, Told(ours)), SETTINGS)
    engine.submit(Frame(1, 1, 2, 2, captured_at=0.0), lambda outcome: None)
    assert not engine._is_starved()
    engine._process = cast(EngineProcess, Told(ours, starved=True, used=5.0))
    assert not engine._is_starved()
    engine._process = cast(EngineProcess, Told(ours, starved=True, used=0.0))
    assert engine._is_starved()
    await engine.close()


def test_what_a_process_waits_for_can_be_told() -> None:
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    sleeping = subprocess.Popen(["/bin/sleep", "60"])
    try:
        while processor_seconds(spinning.pid) < 0.5:
            pass  # it is still starting
        assert waits_for_the_machine(spinning.pid)
        while waits_for_the_machine(sleeping.pid):
            pass  # it is still starting
        assert processor_seconds(sleeping.pid) < 0.2
    finally:
        for process in (spinning, sleeping):
            process.kill()
            process.wait()
    assert processor_seconds(spinning.pid) == 0.0
    assert not waits_for_the_machine(spinning.pid)
