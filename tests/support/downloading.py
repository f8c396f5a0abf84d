"""A device that downloads, and a server that misbehaves as real ones were seen to."""

from __future__ import annotations

import asyncio
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiocoap import Code

from agent.download.checkpoint import Checkpoint, CheckpointPace
from agent.download.downloader import Downloader, DownloadSettings
from agent.download.engine import Block, Settle
from agent.download.silence import Patience
from agent.store.files import Files
from agent.store.names import PackageNames
from agent.store.release_store import ReleaseStore
from protocol.errors import LinkLost, ProtocolError, ResponseError
from states.model import Package
from states.ports import Postponed, Rejected


@dataclass(frozen=True)
class Answer:
    number: int
    more: bool
    payload: bytes
    total_size: int | None = None
    etag: bytes | None = None


# What an accident makes of the answer to the n-th request for a block; None leaves it as it is.
Accident = Callable[["Server", int, int], "Answer | ProtocolError | None"]


class AskedInTasks(ABC):
    """A block source without a link: what ``get_block`` returns or raises is the answer."""

    def __init__(self) -> None:
        self._tasks: dict[bytes, asyncio.Task[None]] = {}

    @abstractmethod
    async def get_block(self, uri: str, number: int, size_exponent: int = 6) -> Block: ...

    def ask_block(
        self, uri: str, number: int, size_exponent: int, settle: Settle, *, confirmable: bool
    ) -> bytes:
        async def answer() -> None:
            try:
                outcome: Block | ProtocolError = await self.get_block(uri, number, size_exponent)
            except ProtocolError as error:
                outcome = error
            settle(outcome)

        token = os.urandom(8)
        self._tasks[token] = task = asyncio.ensure_future(answer())
        task.add_done_callback(lambda _: self._tasks.pop(token))
        return token

    def forget_block(self, token: bytes) -> None:
        if token in self._tasks:
            self._tasks[token].cancel()

    def block_turn_at_once(self, block_size: int) -> bool:
        return True

    async def block_turn(self, block_size: int) -> None:
        return

    async def wait_connected(self) -> None:
        return

    def give_up_link(self, reason: str) -> None:
        return


class Server(AskedInTasks):
    """Serves artifacts by path; ``accident`` may replace any answer."""

    def __init__(self) -> None:
        super().__init__()
        self.artifacts: dict[str, bytes] = {}
        self.asked: list[tuple[str, int]] = []
        self.accident: Accident = lambda server, number, time: None
        self.states_size = True
        self.etags: dict[str, bytes] = {}
        self.largest = 6
        self.under_way = 0
        self.most_under_way = 0
        self.held = asyncio.Event()
        self.held.set()

    async def get_block(self, uri: str, number: int, size_exponent: int = 6) -> Answer:
        self.asked.append((uri, number))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            await self.held.wait()
        finally:
            self.under_way -= 1
        answer = self.accident(self, number, self.asked.count((uri, number)))
        if isinstance(answer, ProtocolError):
            raise answer
        return answer or self.block(uri, number, size_exponent)

    def block(self, uri: str, number: int, size_exponent: int = 6) -> Answer:
        size = 16 << min(size_exponent, self.largest)
        if size_exponent > self.largest:
            number <<= size_exponent - self.largest
        content = self.artifacts[uri]
        end = (number + 1) * size
        if number * size > len(content):
            raise ResponseError(Code.REQUEST_ENTITY_INCOMPLETE, "past the end")
        return Answer(
            number,
            end < len(content),
            content[end - size : end],
            len(content) if self.states_size else None,
            self.etags.get(uri),
        )

    def numbers(self, uri: str = "/model") -> list[int]:
        return [number for asked, number in self.asked if asked == uri]


class MemoryCheckpoints:
    """Checkpoints that outlive a downloader."""

    def __init__(self) -> None:
        self.notes: dict[str, Checkpoint] = {}

    def load(self, sha256: str) -> Checkpoint | None:
        return self.notes.get(sha256)

    def save(self, sha256: str, checkpoint: Checkpoint) -> None:
        self.notes[sha256] = checkpoint

    def forget(self, sha256: str) -> None:
        self.notes.pop(sha256, None)


class Device:
    """A state directory, what the server has, and a downloader between them."""

    def __init__(self, state_dir: Path, files: Files | None = None, reserve: int = 0) -> None:
        self.server = Server()
        self.notes = MemoryCheckpoints()
        self.store = ReleaseStore(
            state_dir,
            names=PackageNames(),
            reserve_bytes=reserve,
            keep_releases=1,
            files=files,
        )
        self.store.prepare()
        self.progress: list[tuple[int, int]] = []
        self.restart()

    def restart(self, in_flight: int = 1, pace: CheckpointPace | None = None) -> None:
        # Without patience: a lost link ends the download at once.
        chosen = DownloadSettings(in_flight, pace or CheckpointPace(seconds=1e9), Patience(0, 0))
        self.downloader = Downloader(self.store, self.notes, self.server, chosen)

    def publish(self, name: str, content: bytes, uri: str = "/model") -> Package:
        self.server.artifacts[uri] = content
        return Package(name, "1", hashlib.sha256(content).hexdigest(), len(content), uri)

    async def fetch(self, *packages: Package) -> None:
        try:
            await self.downloader.fetch(packages, lambda d, t: self.progress.append((d, t)))
        finally:
            await asyncio.sleep(0)  # requests that were forgotten end

    def content(self, package: Package) -> bytes:
        return (self.store.state_dir / "blobs" / package.sha256).read_bytes()


async def refused(device: Device, *packages: Package) -> Postponed | Rejected:
    with pytest.raises((Postponed, Rejected)) as raised:
        await device.fetch(*packages)
    assert isinstance(raised.value, Postponed | Rejected)
    return raised.value


def no_accident(server: Server, number: int, time: int) -> None:
    return None


def lost_at(number: int) -> Accident:
    return lambda server, asked, time: LinkLost("gone") if asked >= number else None
