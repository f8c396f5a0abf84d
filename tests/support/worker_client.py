"""A client of the worker's control socket for tests, and releases on disk for it to serve."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.support.json_outputs import form
from tests.support.tiny_models import TinyModel


class Refused(Exception):  # noqa: N818 - reads as what happened
    """The worker answered with an error."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class WorkerClient:
    """Speaks newline-delimited JSON; replies are matched by their id, events are collected."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._reader, self._writer = reader, writer
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next_id = 0
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def connect(cls, path: Path) -> WorkerClient:
        """Connect as soon as the worker listens."""
        while True:
            try:
                return cls(*await asyncio.open_unix_connection(path, limit=1 << 24))
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(0.01)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result; raises Refused, or DocumentedOtherwise for a status of another form."""
        self._next_id += 1
        self._waiting[self._next_id] = reply = asyncio.get_running_loop().create_future()
        await self.send({"id": self._next_id, "method": method, "params": params})
        answer: dict[str, Any] = await reply
        if "error" in answer:
            raise Refused(answer["error"]["reason"], answer["error"]["detail"])
        result = dict(answer["result"])
        if method == "status":
            form("worker").check(result, "status")
        return result

    async def send(self, message: object) -> None:
        """Any JSON."""
        await self.send_bytes(json.dumps(message).encode() + b"\n")

    async def send_bytes(self, line: bytes) -> None:
        """Anything at all."""
        self._writer.write(line)
        await self._writer.drain()

    async def event(self, name: str) -> dict[str, Any]:
        """The next event of that name; earlier others are passed over."""
        while True:
            event = await self.events.get()
            if event["event"] == name:
                return event

    async def until(self, condition: Any) -> dict[str, Any]:
        """Ask for the status until it is as wanted."""
        while not condition(status := await self.call("status")):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        return status

    async def close(self) -> None:
        """Hang up."""
        self._listening.cancel()
        self._writer.close()

    async def _listen(self) -> None:
        while line := await self._reader.readline():
            message = json.loads(line)
            if "event" in message:
                self.events.put_nowait(message)
            else:
                waiting = self._waiting.pop(message["id"] or 0, None)
                if waiting:
                    waiting.set_result(message)
                else:
                    self.events.put_nowait({"event": "stray-reply", **message})


def write_release(
    state_dir: Path, release: str, model: bytes | TinyModel, labels: str = "red\ngreen\n"
) -> Path:
    """``releases/<release>/`` as the agent lays it out; returns the folder."""
    folder = state_dir / "releases" / release
    folder.mkdir(parents=True)
    content = model.build() if isinstance(model, TinyModel) else model
    (folder / "ai-model.tflite").write_bytes(content)
    (folder / "labels.txt").write_text(labels, encoding="utf-8")
    return folder


def activate(state_dir: Path, release: str) -> None:
    """Flip ``current`` as the agent does: by renaming a new link over it."""
    (state_dir / "current.new").symlink_to(f"releases/{release}")
    (state_dir / "current.new").replace(state_dir / "current")
