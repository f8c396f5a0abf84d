"""The worker's end of an engine process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from agent.worker import child
from agent.worker.engine_process import MESSAGE_BYTES, EngineJob
from agent.worker.errors import EngineFailed, RuntimeUnavailable
from states.ports import Rejected
from states.reasons import Rejection

if TYPE_CHECKING:
    from agent.worker.choices import Preprocessing, RuntimeName
    from agent.worker.frames import Frame, FrameStore

EXIT_SECONDS = 0.5


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
    """Where a release's model and labels are, and its ``model.json`` if it has one."""

    release: str
    model: Path
    labels: Path
    settings: Path | None = None


@dataclass(frozen=True)
class Answer:
    """What an engine made of a frame: (label, score) best first, and milliseconds in the engine."""

    top: list[tuple[str, float]]
    preprocess_ms: float
    inference_ms: float


Outcome: TypeAlias = Answer | EngineFailed
_Message: TypeAlias = dict[str, Any]


class Engine:
    """A loaded, warm model in a process of its own, from :meth:`start` to :meth:`close`.

    It answers in the order it was asked. After its first failure it is of no more use: everything
    asked of it fails alike.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        connection: socket.socket,
        settings: EngineSettings,
    ) -> None:
        self.description: dict[str, Any] = {}
        self.busy_ms = 0.0
        """What the last frame took in the engine."""
        self._process = process
        self._socket = connection
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._asked: deque[Callable[[_Message | EngineFailed], None]] = deque()
        self._silent_since = 0.0
        self._patience = settings.load_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._failure: EngineFailed | None = None
        self._closed = False
        self._loop.add_reader(connection, self._readable)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def idle(self) -> bool:
        """Whether nothing is asked of it that it has not answered."""
        return not self._asked

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
        engine.be_patient(settings.frame_seconds)
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
            settings=str(files.settings) if files.settings else None,
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
            answer = await self._answer()
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

    def be_patient(self, seconds: float) -> None:
        """From now on, count as hung when an answer takes longer."""
        self._patience = seconds
        if self._timer:
            self._timer.cancel()
            self._timer = None
            self._check_patience()

    def submit(self, frame: Frame, done: Callable[[Outcome], None], *, quiet: bool = False) -> None:
        """Have a frame classified; ``done`` is called with the outcome, never from in here.

        A quiet one is classified at low priority.
        """
        if self._failure:
            self._loop.call_soon(done, self._failure)
            return
        self._expect(partial(self._classified, done))
        request = {
            "frame": frame.number,
            "slot": frame.slot,
            "height": frame.height,
            "width": frame.width,
            "quiet": quiet,
        }
        try:
            self._socket.send(json.dumps(request).encode())
        except OSError:
            self._connection_ended()

    async def classify(self, frame: Frame) -> Answer:
        """Classify one frame quietly; raises EngineFailed."""
        outcome: asyncio.Future[Outcome] = self._loop.create_future()
        self.submit(frame, partial(_settle, outcome), quiet=True)
        answer = await outcome
        if isinstance(answer, EngineFailed):
            raise answer
        return answer

    async def _answer(self) -> _Message:
        message: asyncio.Future[_Message | EngineFailed] = self._loop.create_future()
        self._expect(partial(_settle, message))
        answer = await message
        if isinstance(answer, EngineFailed):
            raise answer
        return answer

    def _classified(self, done: Callable[[Outcome], None], answer: _Message | EngineFailed) -> None:
        if isinstance(answer, EngineFailed):
            done(answer)
            return
        preprocess_ms, inference_ms = answer["ms"]
        self.busy_ms = preprocess_ms + inference_ms
        top = [(str(label), float(score)) for label, score in answer["top"]]
        done(Answer(top, preprocess_ms, inference_ms))

    def _expect(self, done: Callable[[_Message | EngineFailed], None]) -> None:
        if not self._asked:
            self._silent_since = self._loop.time()
        self._asked.append(done)
        if self._timer is None:
            self._timer = self._loop.call_later(self._patience, self._check_patience)

    def _check_patience(self) -> None:
        """Runs now and then rather than being set anew for every frame."""
        self._timer = None
        if not self._asked:
            return
        left = self._silent_since + self._patience - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_patience)
            return
        detail = f"the engine was silent for {self._patience:g} s while {self._doing}"
        self.fail(EngineFailed(Rejection.MODEL_HUNG, detail))

    @property
    def _doing(self) -> str:
        return "classifying a frame" if self.description else "loading"

    def _readable(self) -> None:
        try:
            message = self._socket.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._connection_ended()
            return
        answer = json.loads(message)
        if "failed" in answer:
            failed = answer["failed"]
            self.fail(EngineFailed(Rejection(failed["reason"]), failed["detail"]))
        elif self._asked:
            self._silent_since = self._loop.time()
            self._asked.popleft()(answer)

    def fail(self, failure: EngineFailed) -> None:
        """Use the engine no more: whatever is asked of it fails so, now and later."""
        self._failure = self._failure or failure
        self._loop.remove_reader(self._socket)
        asked, self._asked = self._asked, deque()
        for done in asked:
            done(self._failure)

    def _connection_ended(self) -> None:
        self._loop.remove_reader(self._socket)
        if self._ending is None:
            self._ending = self._loop.create_task(self._tell_ending(), name="engine ending")

    async def _tell_ending(self) -> None:
        detail = f"the engine {_how_it_ended(await self._exit_code())} while {self._doing}"
        self.fail(EngineFailed(Rejection.MODEL_CRASHED, detail))

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
        self.fail(EngineFailed(Rejection.MODEL_CRASHED, "the engine was closed"))
        if self._timer:
            self._timer.cancel()
        self._socket.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit status {code}"
    return f"was killed by {signal.Signals(-code).name}"


def _settle(future: asyncio.Future[Any], outcome: object) -> None:
    if not future.done():  # nobody waits any more when it was cancelled
        future.set_result(outcome)
