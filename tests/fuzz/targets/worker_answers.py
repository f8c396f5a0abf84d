"""Answers at the control sockets, as the agent reads the worker's and a command the agent's."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from agent.commands.orders_client import AgentNotAsked, ask_agent
from agent.worker_port.client import WorkerClient
from states.ports import Postponed, Rejected
from tests.fuzz.target import Attempt, chosen, refusing

_KINDS = 5


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: a byte for what was asked, then the answer."""
    with TemporaryDirectory() as folder, asyncio.Runner() as runner:
        state_dir = Path(folder)
        worker = WorkerClient(state_dir / "worker.sock", state_dir, load_seconds=5)
        asked = (worker.figures, worker.tallies, worker.status, lambda: worker.commit("r1", True))

        async def to_agent(number: int, answer: bytes) -> None:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readline()
                writer.write(answer)
                writer.close()

            server = await asyncio.start_unix_server(serve, state_dir / "worker.sock")
            async with server:
                with refusing(Postponed, Rejected):
                    await asked[number]()

        def attempt(data: bytes) -> None:
            number, answer = chosen(data, _KINDS)
            if number < len(asked):
                runner.run(to_agent(number, answer))
                (state_dir / "worker.sock").unlink(missing_ok=True)
            else:
                with _answering(state_dir / "agent.sock", answer), refusing(AgentNotAsked):
                    ask_agent(state_dir, "status")

        yield attempt


def seeds() -> Iterator[bytes]:
    """What worker and agent answer."""
    tally = {"captured": 9, "classified": 8, "dropped": 1, "errors": 0}
    side = {
        **tally,
        "inference_ms": {"p50": 1.0, "p95": 2.0},
        "confidence": {"mean": 0.5},
        "classes": {"red": 8},
        "changes": 1,
    }
    half = {"compared": 4, "agreed": 4, "candidate": side, "previous_side": side}
    comparison = {
        **half,
        "release": "r2",
        "previous": "r1",
        "same_frames": True,
        "shadowing": True,
        "why_not": None,
        "later_half": half,
    }
    status = {
        "release": "r2",
        "releases": {"r1": tally, "r2": tally},
        "fell_back": {"from": "r1", "reason": "engine-crashed", "detail": "signal 11"},
        "comparison": comparison,
        "instance": "abc",
    }
    for number, result in enumerate((status, {"tallies": {}}, status, {"release": "r1"}, {})):
        yield bytes([number]) + json.dumps({"id": 1, "result": result}).encode() + b"\n"
        for reason in ("busy", "labels-invalid", "bad-request"):
            error = {"reason": reason, "detail": "because"}
            yield bytes([number]) + json.dumps({"id": 1, "error": error}).encode() + b"\n"
    yield b"\x00"


@contextmanager
def _answering(path: Path, answer: bytes) -> Iterator[None]:
    """A socket that gives one answer to whoever asks."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            thread.join()
            path.unlink()
