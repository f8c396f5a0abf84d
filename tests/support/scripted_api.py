"""A real HTTP server that answers as scripted and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    key: str | None
    body: Any


@dataclass(frozen=True)
class Answer:
    """One answer; ``body`` is JSON, or bytes as they are, or None to hang up."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    def bytes(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class ScriptedApi:
    """Gives the answers of its script, one for each request, in order."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self._script: deque[Answer] = deque()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, body: Any, status: int = 200, **headers: str) -> None:
        """Add to the script; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._script.append(Answer(status, body, named))

    def hang_up(self) -> None:
        """Add a connection that breaks without an answer to the script."""
        self._script.append(Answer(0, None))

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _take(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        return self._script.popleft() if self._script else Answer(500, b"the script has ended")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                api.connections += 1

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                key = self.headers.get("x-api-key")
                asked = Asked(
                    self.command, parts.path, query, key, json.loads(body) if body else None
                )
                answer = api._take(asked)
                if answer.body is None:
                    self.close_connection = True
                    return
                content = answer.bytes()
                self.send_response(answer.status)
                for name, value in {**answer.headers, "content-length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Keep the terminal quiet."""

        return Handler
