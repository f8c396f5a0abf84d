"""The worker's end of an engine process."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from agent.worker.engines.engine_process import MESSAGE_BYTES
from agent.worker.engines.patience import Patience
from agent.worker.engines.process import EngineProcess
from agent.worker.engines.settings import EngineSettings, ReleaseFiles, job_of
from agent.worker.errors import EngineFailed, EngineSilent, RuntimeUnavailable
from states.ports import Rejected
from states.reasons import Rejection

if TYPE_CHECKING:
    from agent.worker.camera.frames import Frame, FrameStore

GROWTH, GROWTH_BYTES = 2, 64 << 20


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
    asked of it fails alike. While it is watched, so is a silence after which it may yet answer; it
    is then listened to, so that :meth:`heard_out` can tell whether it had hung.
    """

    def __init__(self, process: EngineProcess, settings: EngineSettings) -> None:
        self.description: dict[str, Any] = {}
        self.busy_ms = 0.0
        """What the last frame took in the engine."""
        self._process = process
        self._socket = process.connection
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._asked: deque[Callable[[_Message | EngineFailed], None]] = deque()
        self._patience = Patience(process, settings.load_seconds, self._hung)
        self._ending: asyncio.Task[None] | None = None
        self._failure: EngineFailed | None = None
        self._watched = False
        self._owed: asyncio.Future[_Message | EngineFailed] = self._loop.create_future()
        """The answer it was silent over."""
        self._finished: asyncio.Future[None] | None = None
        self._closed = False
        self._warm_bytes = 0
        self._loop.add_reader(self._socket, self._readable)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def failed(self) -> bool:
        """Whether it is of no more use."""
        return self._failure is not None

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
        process = await EngineProcess.start(job_of(files, settings, store.read_only))
        engine = cls(process, settings)
        try:
            engine.description = await engine._loaded()
        except BaseException:
            await engine.close()
            raise
        engine.be_patient(settings.frame_seconds)
        engine._warm_bytes = engine.resident_bytes()
        return engine

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
        if reason == Rejection.MODEL_CRASHED:
            detail += self._process.last_words()
        raise Rejected(Rejection(reason), detail)

    def be_patient(self, seconds: float) -> None:
        """From now on, count as hung when an answer takes longer."""
        self._watched = False
        self._patience.change(seconds)

    def be_watched(self, seconds: float) -> None:
        """From now on, be of no more use when an answer takes longer: another can take over."""
        self._watched = True
        self._patience.change(seconds)

    async def heard_out(self) -> None:
        """Wait for the answer a silent engine owes. Raises EngineFailed if it has none."""
        answer = await self._owed
        if isinstance(answer, EngineFailed):
            raise answer

    def resident_bytes(self) -> int:
        """Memory it takes, without the frames it shares with the worker."""
        return self._process.resident_bytes()

    def check_size(self) -> None:
        """Fail when it has grown beyond what it may."""
        limit = self._settings.memory_bytes or GROWTH * self._warm_bytes + GROWTH_BYTES
        size = self.resident_bytes()
        if size > limit and self._failure is None:
            detail = (
                f"the engine takes {size >> 20} MiB and may take {limit >> 20}; "
                f"when it was loaded it took {self._warm_bytes >> 20}"
            )
            self.fail(EngineFailed(Rejection.MODEL_LEAKS, detail))

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
            self._patience.begin()
        self._asked.append(done)

    def _hung(self, seconds: float) -> None:
        detail = f"the engine was silent for {seconds:g} s while {self._doing}"
        if self._watched:
            self._give_back(EngineSilent(Rejection.MODEL_HUNG, detail))
        else:
            self.fail(EngineFailed(Rejection.MODEL_HUNG, detail))

    def _give_back(self, silence: EngineSilent) -> None:
        """Fail what was asked of it, and listen on for as long as any silence is borne."""
        self._failure = silence
        asked, self._asked = self._asked, deque([partial(_settle, self._owed)])
        self.be_patient(self._settings.frame_seconds)
        for done in asked:
            done(silence)

    @property
    def _doing(self) -> str:
        return "classifying a frame" if self.description else "loading"

    def _readable(self) -> None:
        try:
            message = self._socket.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            return  # It left frames unread; told once, before what it answered last.
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
            self._patience.begin()
            self._asked.popleft()(answer)
            self._note_finished()

    def fail(self, failure: EngineFailed) -> None:
        """Use the engine no more: whatever is asked of it fails so, now and later."""
        if self._failure is None or isinstance(self._failure, EngineSilent):
            self._failure = failure
        self._loop.remove_reader(self._socket)
        asked, self._asked = self._asked, deque()
        for done in asked:
            done(self._failure)
        self._note_finished()

    async def finished(self) -> None:
        """Return when it has answered everything it was asked, or failed."""
        if self._asked:
            self._finished = self._loop.create_future()
            await self._finished

    def _note_finished(self) -> None:
        if self._asked:
            return
        self._patience.rest()
        if self._finished and not self._finished.done():
            self._finished.set_result(None)

    def _connection_ended(self) -> None:
        self._loop.remove_reader(self._socket)
        if self._ending is None:
            self._ending = self._loop.create_task(self._tell_ending(), name="engine ending")

    async def _tell_ending(self) -> None:
        detail = f"the engine {await self._process.ending()} while {self._doing}"
        self.fail(EngineFailed(Rejection.MODEL_CRASHED, detail))

    async def close(self) -> None:
        """End the process, whatever it does: it holds nothing worth saving."""
        if self._closed:
            return
        self._closed = True
        self.fail(EngineFailed(Rejection.MODEL_CRASHED, "the engine was closed"))
        self._patience.stop()
        self._process.kill()
        if self._ending:
            await self._ending
        await self._process.end()


def _settle(future: asyncio.Future[Any], outcome: object) -> None:
    if not future.done():  # nobody waits any more when it was cancelled
        future.set_result(outcome)
