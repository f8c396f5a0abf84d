"""What the preview's thread may see of the worker: asked on the worker's own event loop.

Nothing happens on the frame path. Whoever watches asks for the last frame, at the preview's pace;
while nobody does, nobody asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from agent.worker.camera.frames import Frame, FrameStore
from agent.worker.methods import WorkerMethods
from agent.worker.model.tensors import Picture
from agent.worker.notices import Notices
from agent.worker.preview.annotate import Caption, caption
from agent.worker.versions import ModelVersions

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Sight:
    """The last frame and what it was taken for. Its slot is kept until it is released."""

    frame: Frame
    caption: Caption


class Spectator:
    """Looks at the worker from another thread."""

    def __init__(
        self,
        methods: WorkerMethods,
        store: FrameStore,
        notices: Notices,
        versions: ModelVersions,
    ) -> None:
        self._methods = methods
        self._store = store
        self._notices = notices
        self._versions = versions
        self._loop = asyncio.get_running_loop()

    async def look(self) -> Sight | None:
        """The last frame; None before the first one. Use or release it."""
        return await self._ask(self._sight)

    async def figures(self) -> dict[str, Any]:
        """Everything a page shows, as JSON."""
        return await self._ask(self._figures)

    @contextmanager
    def picture(self, sight: Sight) -> Iterator[Picture]:
        """The frame's picture, valid until the end of the block."""
        try:
            yield self._store.view(sight.frame)
        finally:
            self.release(sight)

    def release(self, sight: Sight) -> None:
        """Let go of a frame that is not wanted."""
        self._store.release(sight.frame)

    async def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        async def answer() -> _Answer:
            return question()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer(), self._loop))

    def _sight(self) -> Sight | None:
        last = self._methods.serving.last_frame()
        if last is None:
            return None
        frame, result = last
        self._store.retain(frame)
        return Sight(frame, caption(result, self._notices, self._versions))

    def _figures(self) -> dict[str, Any]:
        now = time.monotonic()
        results = self._methods.serving.results
        figures = self._methods.figures()
        notices = [
            {"kind": n.kind, "title": n.title, "text": n.text, "age_s": round(now - n.at, 1)}
            for n in self._notices.current(now)
        ]
        last = results[-1].to_json() if results else None
        release = figures["release"]
        version = self._versions.of(release) if release else None
        return {**figures, "version": version, "last": last, "notices": notices}
