"""The worker's end of an engine process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.worker import child
from agent.worker.engine_process import MESSAGE_BYTES, EngineJob
from agent.worker.errors import EngineFailed, RuntimeUnavailable
from states.ports import Rejected
from states.reasons import Rejection

if TYPE_CHECKING:
    from agent.worker.choices import Preprocessing, RuntimeName
    from agent.worker.frames import Frame, FrameStore

EXIT_SECONDS = 2.0


@dataclass(frozen=True)
class EngineSettings:
    """How engines run models. Times in seconds."""

    runtime: RuntimeName
    num_threads: int
    top_k: int
    preprocessing: Preprocessing
    load_seconds: float
    frame_seconds: float


@dataclass(frozen=True)
class ReleaseFiles:
    """Where a release's model and labels are."""

    release: str
    model: Path
    labels: Path


@dataclass(frozen=True)
class Answer:
    """What an engine made of a frame: (label, score) best first, and milliseconds in the engine."""

    top: list[tuple[str, float]]
    preprocess_ms: float
    inference_ms: float


class Engine:
    """A loaded, warm model in a process of its own, from :meth:`start` to :meth:`close`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        connection: socket.socket,
        settings: EngineSettings,
    ) -> None:
        self._process = process
        self._socket = connection
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._reply: asyncio.Future[bytes] | None = None
        self._turn = asyncio.Lock()
        self._loop.add_reader(connection, self._readable)
        self._ended = False
        self._closed = False
        self.description: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @classmethod
    async def start(
        cls, files: ReleaseFiles, settings: EngineSettings, store: FrameStore
    ) -> Engine:
        """Load and warm a release's model in a new process.

        Raises Rejected when the model or labels are at fault (also when it crashes or hangs), and
        RuntimeUnavailable or OSError when the machine is.
        """
        engine = await cls._spawn(files, settings, store)
        try:
            engine.description = await engine._loaded()
        except BaseException:
            await engine.close()
            raise
        return engine

    @classmethod
    async def _spawn(
        cls, files: ReleaseFiles, settings: EngineSettings, store: FrameStore
    ) -> Engine:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        job = EngineJob(
            parent=os.getpid(),
            socket=theirs.fileno(),
            frames=store.read_only,
            model=str(files.model),
            labels=str(files.labels),
            top_k=settings.top_k,
            runtime=settings.runtime,
            num_threads=settings.num_threads,
            preprocessing=asdict(settings.preprocessing),
        )
        command = [sys.executable, "-P", "-m", "agent.worker.engine_process", job.to_json()]
        descriptors = (theirs.fileno(), store.read_only)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=descriptors,
                env=child.environment(),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, ours, settings)

    async def _loaded(self) -> dict[str, Any]:
        try:
            answer = await self._receive(self._settings.load_seconds, "loading")
        except EngineFailed as error:
            raise Rejected(error.reason, error.detail) from error
        if "ready" in answer:
            return dict(answer["ready"])
        reason, detail = answer["refused"]["reason"], answer["refused"]["detail"]
        if reason == "runtime-unavailable":
            raise RuntimeUnavailable(detail)
        if reason == "unreadable":
            raise OSError(detail)
        raise Rejected(Rejection(reason), detail)

    async def classify(self, frame: Frame) -> Answer:
        """Classify one frame; raises EngineFailed, after which the engine is of no more use."""
        async with self._turn:
            self._send(
                {
                    "frame": frame.number,
                    "slot": frame.slot,
                    "height": frame.height,
                    "width": frame.width,
                }
            )
            answer = await self._receive(self._settings.frame_seconds, "classifying a frame")
        if "failed" in answer:
            raise EngineFailed(Rejection(answer["failed"]["reason"]), answer["failed"]["detail"])
        top = [(str(label), float(score)) for label, score in answer["top"]]
        return Answer(top, *answer["ms"])

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.send(json.dumps(message).encode())
        except OSError:
            self._ended = True

    async def _receive(self, seconds: float, doing: str) -> dict[str, Any]:
        self._reply = self._loop.create_future()
        if self._ended:
            self._reply.set_result(b"")
        try:
            async with asyncio.timeout(seconds):
                message = await self._reply
        except TimeoutError:
            detail = f"the engine was silent for {seconds:g} s while {doing}"
            raise EngineFailed(Rejection.MODEL_HUNG, detail) from None
        finally:
            self._reply = None
        if not message:
            raise EngineFailed(
                Rejection.MODEL_CRASHED, f"the engine {await self._ending()} while {doing}"
            )
        return dict(json.loads(message))

    def _readable(self) -> None:
        try:
            message = self._socket.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._loop.remove_reader(self._socket)
        self._answer(message)

    def _answer(self, message: bytes) -> None:
        """Hand an answer to whoever waits; an empty one says that there will be no more."""
        if not message:
            self._ended = True
        if self._reply and not self._reply.done():
            self._reply.set_result(message)

    async def _ending(self) -> str:
        code = await self._exit_code()
        if code >= 0:
            return f"ended with exit status {code}"
        return f"was killed by {signal.Signals(-code).name}"

    async def _exit_code(self) -> int:
        try:
            async with asyncio.timeout(EXIT_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()

    async def close(self) -> None:
        """End the process, whatever it does: it holds nothing worth saving."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._answer(b"")
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
