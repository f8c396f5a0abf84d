"""One capture process as the worker sees it: slots go out, frames come in."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from agent.worker.camera.capture_process import MESSAGE_BYTES, CaptureJob
from agent.worker.camera.frames import MAX_PIXELS, Frame, FrameStore
from agent.worker.camera.mailbox import Mailbox
from agent.worker.sandbox import child

# One is written while the other is on its way to us.
SLOTS_GRANTED = 2
GONE = "the capture process crashed; its messages are in the log"


@dataclass(frozen=True)
class Trouble:
    """Why a capture process is of no more use."""

    state: Literal["stalled", "failed"]
    detail: str


class CaptureLink:
    """A capture process from its start to its end."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        connection: socket.socket,
        store: FrameStore,
        mailbox: Mailbox,
        numbers: Iterator[int],
    ) -> None:
        """``numbers`` gives the frames theirs."""
        self.frames = 0
        """Pictures it has given, also those there was no slot for."""
        self.skipped = 0
        self.heard_at = time.monotonic()
        """Of the last picture, or of the start. Seconds, monotonic."""
        self.trouble: Trouble | None = None
        self.news = asyncio.Event()
        """Set by the first picture and by trouble."""
        self.process = process
        self._socket = connection
        self._store = store
        self._mailbox = mailbox
        self._numbers = numbers
        self._granted: set[int] = set()
        asyncio.get_running_loop().add_reader(connection, self._readable)
        self._grant()

    @classmethod
    async def start(
        cls, job: CaptureJob, store: FrameStore, mailbox: Mailbox, numbers: Iterator[int]
    ) -> CaptureLink:
        """Start a process for that job. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            ours.send(job.to_json())
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "agent.worker.camera.capture_process"),
                stdin=theirs.fileno(),
                pass_fds=(job.frames,),
                env=child.environment(),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, ours, store, mailbox, numbers)

    async def close(self) -> None:
        """End the process, whatever it does, and take its slots back.

        A process that hangs within a driver can't be killed before the driver returns; until then
        its slots stay its own, and nothing else could open the camera anyway.
        """
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        while self._granted:
            self._store.free(self._granted.pop())

    def _readable(self) -> None:
        """Take everything that has come, the newest last."""
        while not self.trouble:
            try:
                message = self._socket.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # It left slots unread; told once, before what it sent last.
            try:
                self._take(json.loads(message) if message else {"ended": True})
            except (ValueError, KeyError, TypeError):
                self._end(Trouble("failed", "the capture process answered nonsense"))

    def _take(self, told: dict[str, Any]) -> None:
        if "frame" in told:
            self._take_frame(*told["frame"])
            self.skipped = int(told["skipped"])
        elif "lost" in told:
            self._take_lost(int(told["lost"]))
        elif "failed" in told:
            self._end(Trouble("failed", str(told["failed"])))
        else:
            self._end(Trouble("failed", GONE))
        self._grant()

    def _take_frame(
        self,
        slot: int,
        height: int,
        width: int,
        captured_at: float,
        name: str | None,
        label: str | None,
    ) -> None:
        # A decoder that fell to a malicious stream may tell anything.
        if slot not in self._granted or not 0 < height * width <= MAX_PIXELS or height < 0:
            raise ValueError
        self._granted.discard(slot)
        taken_at = min(float(captured_at), time.monotonic())
        self._mailbox.put(Frame(next(self._numbers), slot, height, width, taken_at, name, label))
        self._heard(1)

    def _take_lost(self, count: int) -> None:
        for _ in range(count):
            next(self._numbers)
            self._mailbox.lose()
        self._heard(count)

    def _heard(self, count: int) -> None:
        if not self.frames:
            self.news.set()
        self.frames += count
        self.heard_at = time.monotonic()

    def _end(self, trouble: Trouble) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self.trouble = trouble
        self.news.set()

    def _grant(self) -> None:
        while len(self._granted) < SLOTS_GRANTED and not self.trouble:
            slot = self._store.reserve()
            if slot is None:
                return
            self._granted.add(slot)
            try:
                self._socket.send(str(slot).encode())
            except OSError:
                return  # The end of the process shows at the next read.
