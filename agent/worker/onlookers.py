"""Everybody who looks at the worker without taking part: notices, log lines, samples, preview."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from agent.control.errors import ControlError
from agent.control.parameters import Method, Parameters
from agent.faults import explain
from agent.samples.settings import SampleChoice
from agent.samples.taker import SampleTaker
from agent.worker.camera.frames import FrameStore
from agent.worker.engines.counters import Result
from agent.worker.log_lines import LogLines
from agent.worker.methods import WorkerMethods
from agent.worker.notices import Notices
from agent.worker.preview.settings import PreviewSettings
from agent.worker.versions import ModelVersions

if TYPE_CHECKING:
    from agent.worker.model.tensors import Picture
    from agent.worker.preview.server import PreviewServer

log = logging.getLogger(__name__)


class Onlookers:
    """Made before the worker's parts, which tell it of events; started once they are there."""

    def __init__(
        self,
        preview: PreviewSettings,
        samples: SampleTaker,
        versions: ModelVersions,
        publish: Callable[[dict[str, Any]], None],
    ) -> None:
        """``publish`` tells the subscribers of the control socket."""
        self.log_lines = LogLines()
        """What the agent is to send to the cloud's log."""
        self._notices = Notices(versions.describe)
        self._samples = samples
        self._preview = preview
        self._versions = versions
        self._publish = publish
        self._server: PreviewServer | None = None

    def publish(self, event: dict[str, Any]) -> None:
        """Tell everybody of an event."""
        self._notices.note(event, time.monotonic())
        self._publish(event)

    def figures(self) -> dict[str, Any]:
        """What they add to the worker's own figures."""
        events = self._notices.counts.to_json()
        return {"events": events, "samples": self._samples.figures()}

    def table(self) -> Mapping[str, Method]:
        """Methods of the control socket by name."""
        return {"capture": self.capture, **self.log_lines.table()}

    def draw(self, result: Result | None, picture: Picture) -> bytes:
        """The picture with what it was taken for and what there is to notice, as a small JPEG."""
        from agent.worker.jpeg import small_jpeg
        from agent.worker.preview.annotate import annotated, caption

        return small_jpeg(annotated(picture, caption(result, self._notices, self._versions)))

    async def capture(self, parameters: Parameters) -> dict[str, Any]:
        """Keep samples or keep none, or others: keys of ``[samples]``, as far as they are given.

        That holds until told otherwise or the worker starts again.
        """
        if parameters:
            wanted = {**dict(self._samples.choice), **parameters}
            try:
                self._samples.choose_by(SampleChoice.model_validate(wanted, strict=True))
            except ValidationError as faults:
                told = "; ".join(explain("params", SampleChoice, faults))
                raise ControlError("bad-request", told) from None
        return self._samples.figures()

    def start(self, methods: WorkerMethods, store: FrameStore) -> None:
        """Look on from now."""
        self._samples.start()
        methods.serving.on_result.append(self._samples.on_result)
        if self._preview.on:
            self._server = self._start_preview(methods, store)

    def _start_preview(self, methods: WorkerMethods, store: FrameStore) -> PreviewServer | None:
        # Whoever does without the preview does without its libraries' memory.
        from agent.worker.preview.metrics import LatencyHistogram, Metrics
        from agent.worker.preview.server import PreviewServer
        from agent.worker.preview.spectator import Spectator

        latency = LatencyHistogram()
        spectator = Spectator(methods, store, self._notices, self._versions)
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
        await asyncio.to_thread(self._samples.stop)
        if self._server:
            await self._server.stop()
