"""Runs the preview in a thread with an event loop of its own.

Whoever watches costs the worker's loop one short question per picture; sockets, encoding and slow
watchers are dealt with here. What goes wrong here is logged, and the worker goes on without.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from agent.worker.preview.app import PreviewPages
from agent.worker.preview.metrics import Metrics
from agent.worker.preview.settings import PreviewSettings
from agent.worker.preview.spectator import Spectator
from agent.worker.preview.stream import LiveStream

log = logging.getLogger(__name__)

_GRACE_SECONDS = 1
_CONNECTIONS = 64
_STOP_SECONDS = 3.0


class PreviewServer:
    """The preview, from :meth:`start` to :meth:`stop`."""

    def __init__(self, settings: PreviewSettings, spectator: Spectator, metrics: Metrics) -> None:
        """Raises OSError when the address can't be listened on."""
        self._settings = settings
        self._socket = _bound(*settings.address)
        stream = LiveStream(spectator, settings.frames_per_second)
        pages = PreviewPages(spectator, stream, metrics)
        self._server = _Server(_config(pages.app(settings.hosts)), stream)
        self._thread = threading.Thread(target=self._run, name="preview", daemon=True)

    @property
    def url(self) -> str:
        """Where the page is."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def start(self) -> None:
        """Serve in the background."""
        # It tells of its start and end; we do, with the address.
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        self._thread.start()
        log.info("preview at %s", self.url)
        if not self._settings.loopback:
            log.warning("everybody who can reach %s sees what the camera sees", self.url)

    async def stop(self) -> None:
        """End everybody's stream and free the port."""
        self._server.should_exit = True
        await asyncio.to_thread(self._thread.join, _STOP_SECONDS)
        self._socket.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve([self._socket]))
        except Exception:  # whatever it is, it is no reason to stop classifying
            log.exception("the preview ended; the worker goes on without it")


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        # Whatever else is installed beside it: what is tested is what devices run.
        http="h11",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


class _Server(uvicorn.Server):
    """Leaves signals alone, and ends streams before it waits for requests under way."""

    def __init__(self, config: uvicorn.Config, stream: LiveStream) -> None:
        super().__init__(config)
        self._stream = stream

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn."""
        self._stream.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the worker."""
        yield


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener
