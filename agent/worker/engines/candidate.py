"""A release on its way to serving: loaded and warmed beside the active one, if memory allows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.control.errors import ControlError
from agent.worker.camera.frames import FrameStore
from agent.worker.engines.engine import Engine
from agent.worker.engines.memory import Memory
from agent.worker.engines.serving import Serving
from agent.worker.engines.settings import EngineSettings, ReleaseFiles
from agent.worker.engines.shadow import Shadow
from agent.worker.errors import EngineFailed
from states.ports import Rejected

log = logging.getLogger(__name__)

WARM_FRAMES = 3


@dataclass(frozen=True)
class NoRoom:
    """There is no memory for a second engine: this one has to wait until the first is gone."""

    why: str


class Candidate:
    """The release, and its engine once it is loaded."""

    def __init__(self, files: ReleaseFiles, loading: asyncio.Task[Engine | NoRoom]) -> None:
        self.files = files
        self._loading = loading
        self._dropped = False
        # Whoever waits asks for the outcome; that nobody waits (any more) is no error.
        loading.add_done_callback(lambda task: task.cancelled() or task.exception())

    @property
    def failed(self) -> bool:
        """Whether loading ended without an engine."""
        done = self._loading.done()
        return done and (self._loading.cancelled() or self._loading.exception() is not None)

    @property
    def state(self) -> str:
        """``loading``, ``ready`` or ``failed``."""
        return "failed" if self.failed else "ready" if self._loading.done() else "loading"

    @property
    def engine(self) -> Engine | None:
        """Its engine, if it is loaded."""
        ready = self._loading.done() and not self.failed
        engine = self._loading.result() if ready else None
        return engine if isinstance(engine, Engine) else None

    async def loaded(self) -> Engine | NoRoom:
        """Its engine, once it is loaded and warm. Raises ControlError when it was discarded."""
        await asyncio.wait([self._loading])
        if self._dropped:
            raise ControlError("busy", f"release {self.files.release} was superseded or aborted")
        return self._loading.result()

    async def discard(self) -> None:
        """Stop loading it, or end its engine."""
        self._dropped = True
        self._loading.cancel()
        await asyncio.wait([self._loading])
        if self.engine:
            await self.engine.close()


class Loader:
    """Loads engines and warms them up with real frames."""

    def __init__(
        self,
        serving: Serving,
        shadow: Shadow,
        memory: Memory,
        store: FrameStore,
        settings: EngineSettings,
    ) -> None:
        self._serving = serving
        self._shadow = shadow
        self._memory = memory
        self._store = store
        self._settings = settings
        self._alone = False

    async def load_beside(
        self, files: ReleaseFiles, engines: Callable[[], Mapping[str, Engine]]
    ) -> Engine | NoRoom:
        """Load a release beside ``engines`` if there is room, at the shadow's cost if need be.

        Raises as :meth:`load` does. Without room, what can be known of the files is still checked.
        """
        if (shortage := self._shortage(files, engines())) and self._shadow.engine:
            await self._shadow.make_way(f"its memory was needed for release {files.release}")
            shortage = self._shortage(files, engines())
        if shortage is None:
            return await self.load(files)
        log.info(
            "release %s will be loaded in place of the active one: %s", files.release, shortage
        )
        await asyncio.to_thread(_check_readable, files)
        return NoRoom(shortage)

    async def load_alone(self, files: ReleaseFiles) -> Engine:
        """Load a release when memory allows one engine only. Raises as :meth:`load` does."""
        self._alone = True
        try:
            return await self.load(files)
        finally:
            self._alone = False

    async def load(self, files: ReleaseFiles) -> Engine:
        """Raises Rejected (the content), RuntimeUnavailable or OSError (the machine)."""
        engine = await Engine.start(files, self._settings, self._store)
        try:
            for _ in range(WARM_FRAMES):
                await self._serving.warm(engine)
        except EngineFailed as error:
            await engine.close()
            raise Rejected(error.reason, f"on a real frame: {error.detail}") from error
        except asyncio.CancelledError:
            await engine.close()
            raise
        return engine

    def _shortage(self, files: ReleaseFiles, engines: Mapping[str, Engine]) -> str | None:
        if self._alone:
            return "another release is taking the memory of the active one"
        active = self._serving.active
        if active is None or active.engine is None:
            return None
        return self._memory.shortage(files, (active.files, active.engine), engines.values())


def _check_readable(files: ReleaseFiles) -> None:
    for path in (files.model, files.labels, files.settings):
        if path:
            _read_byte(path)


def _read_byte(path: Path) -> None:
    with path.open("rb") as file:
        file.read(1)
