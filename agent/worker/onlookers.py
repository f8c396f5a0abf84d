"""Everybody who looks at the worker without taking part: notices and the preview."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agent.worker.frames import FrameStore
from agent.worker.methods import WorkerMethods
from agent.worker.notices import Notices
from agent.worker.preview.settings import PreviewSettings
from agent.worker.versions import ModelVersions

if TYPE_CHECKING:
    from agent.worker.preview.server import PreviewServer

log = logging.getLogger(__name__)


class Onlookers:
    """Made before the worker's parts, which tell it of events; started once they are there."""

    def __init__(
        self, preview: PreviewSettings, versions: ModelVersions, publish: Callable[[Any], None]
    ) -> None:
        """``publish`` tells the subscribers of the control socket."""
        self.notices = Notices(versions.describe)
        self._preview = preview
        self._versions = versions
        self._publish = publish
        self._server: PreviewServer | None = None

    def publish(self, event: dict[str, Any]) -> None:
        """Tell everybody of an event."""
        self.notices.note(event, time.monotonic())
        self._publish(event)

    def start(self, methods: WorkerMethods, store: FrameStore) -> None:
        """Look on from now."""
        if self._preview.on:
            self._server = self._start_preview(methods, store)

    def _start_preview(self, methods: WorkerMethods, store: FrameStore) -> PreviewServer | None:
        # Whoever does without the preview does without its libraries' memory.
        from agent.worker.preview.metrics import LatencyHistogram, Metrics
        from agent.worker.preview.server import PreviewServer
        from agent.worker.preview.spectator import Spectator

        latency = LatencyHistogram()
        spectator = Spectator(methods, store, self.notices, self._versions)
        try:
            server = PreviewServer(self._preview, spectator, Metrics(latency))
        except OSError as error:
            # Another program on that port is no reason to stop classifying.
            log.error("no preview: %s can't be listened on: %s", self._preview.listen, error)
            return None
        methods.serving.on_result.append(latency.observe)
        server.start()
        return server

    async def stop(self) -> None:
        """Let everybody go."""
        if self._server:
            await self._server.stop()
