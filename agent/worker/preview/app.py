"""The page, the live picture, a snapshot, and the figures as JSON and for Prometheus."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.worker.preview.guard import Guard
from agent.worker.preview.metrics import CONTENT_TYPE, Metrics
from agent.worker.preview.spectator import Spectator
from agent.worker.preview.stream import BOUNDARY, LiveStream, TooManyWatchers

_PAGE = Path(__file__).parent / "page"
_FILES = {
    "/": ("preview.html", "text/html"),
    "/preview.css": ("preview.css", "text/css"),
    "/preview.js": ("preview.js", "text/javascript"),
}
# Everybody who looks within this time sees the same figures.
FIGURES_SECONDS = 0.25
PATIENCE_SECONDS = 3.0


class PreviewPages:
    """What is answered to requests."""

    def __init__(self, spectator: Spectator, stream: LiveStream, metrics: Metrics) -> None:
        self._spectator = spectator
        self._stream = stream
        self._metrics = metrics
        self._figures: dict[str, Any] = {}
        self._taken_at = float("-inf")

    def app(self, hosts: tuple[str, ...]) -> ASGIApp:
        """The application; ``hosts`` may be asked for beside this machine's own names."""
        routes = [Route(path, self.page) for path in _FILES]
        routes += [
            Route("/stream.mjpg", self.stream),
            Route("/snapshot.jpg", self.snapshot),
            Route("/status.json", self.status),
            Route("/metrics", self.metrics),
        ]
        return Guard(Starlette(routes=routes), hosts)

    async def page(self, request: Request) -> Response:
        """The page, its style and its script."""
        name, kind = _FILES[request.url.path]
        return FileResponse(_PAGE / name, media_type=kind)

    async def stream(self, _request: Request) -> Response:
        """The live picture as MJPEG, for as long as somebody watches."""
        return MovingPicture(self._stream)

    async def snapshot(self, _request: Request) -> Response:
        """The newest picture, annotated."""
        try:
            with self._stream.watching():
                jpeg = await self._stream.next_picture(PATIENCE_SECONDS)
        except TooManyWatchers:
            return _too_many()
        if jpeg is None:
            return PlainTextResponse("The source gives no picture.\n", status_code=503)
        return Response(jpeg, media_type="image/jpeg")

    async def status(self, _request: Request) -> Response:
        """All figures, as on the control socket, and what the page shows beside."""
        return JSONResponse(await self._newest_figures())

    async def metrics(self, _request: Request) -> Response:
        """The same for Prometheus."""
        text = self._metrics.render(await self._newest_figures())
        return Response(text, media_type=CONTENT_TYPE)

    async def _newest_figures(self) -> dict[str, Any]:
        if time.monotonic() - self._taken_at > FIGURES_SECONDS:
            self._figures = await self._spectator.figures()
            self._taken_at = time.monotonic()
        watching = {"watchers": self._stream.watchers, "encoded": self._stream.encoded}
        return {**self._figures, "preview": watching}


class MovingPicture(Response):
    """Pictures until the watcher or the worker leaves."""

    def __init__(self, stream: LiveStream) -> None:
        super().__init__(media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        del self.headers["content-length"]
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            with self._stream.watching():
                await self._until_either_leaves(receive, send)
        except TooManyWatchers:
            await _too_many()(scope, receive, send)

    async def _until_either_leaves(self, receive: Receive, send: Send) -> None:
        jobs = {asyncio.create_task(self._show(send)), asyncio.create_task(_disconnected(receive))}
        try:
            await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.wait(jobs)

    async def _show(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        # A browser shows a picture once it has seen the boundary after it.
        await _send_body(send, f"--{BOUNDARY}\r\n".encode())
        while (jpeg := await self._stream.next_picture()) is not None:
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            await _send_body(send, head.encode() + jpeg + f"\r\n--{BOUNDARY}\r\n".encode())
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_body(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_many() -> Response:
    return PlainTextResponse("Too many are watching.\n", status_code=503)
