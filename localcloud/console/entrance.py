"""The way into the console: who is signed in, from which site, and what strangers get."""

from __future__ import annotations

import asyncio
import importlib
import secrets
from contextlib import AsyncExitStack
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from localcloud.calls import Calls
from localcloud.console.headers import with_safe_headers
from localcloud.console.sessions import Sessions
from localcloud.console.sign_in import COOKIE, OPEN_PATHS, SIGN_IN, sign_in_app
from localcloud.console.visit import Presence, Visit
from localcloud.limits import STRANGERS_BODY, LimitBody
from localcloud.storage.store import Store

_HARMLESS = frozenset({"GET", "HEAD"})


class Console:
    """The console as an ASGI application. ``close`` it with the cloud.

    The pages' library keeps itself once per process: of several clouds in one process only one at a
    time can show its pages.
    """

    def __init__(
        self, store: Store, presence: Presence, calls: Calls, *, max_artifact_bytes: int
    ) -> None:
        self._store, self._presence, self._calls = store, presence, calls
        self._max_artifact_bytes = max_artifact_bytes
        self._sessions = Sessions(store.api_keys.project_of)
        self._sign_in = sign_in_app(self._sessions)
        self._stack = AsyncExitStack()
        self._pages: ASGIApp | None = None
        self._opening = asyncio.Lock()
        largest = max_artifact_bytes + STRANGERS_BODY
        self._limited = LimitBody(self._route, lambda r: self._visit(r) is not None, largest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        if scope["type"] not in ("http", "websocket"):
            # What ASGI asks of an application that is offered a protocol it does not speak.
            raise NotImplementedError(f"the console does not serve {scope['type']!r}")
        if not _is_same_site(scope):
            return await _refuse(scope, receive, send, 403, "another site's page asked for this")
        return await self._limited(scope, receive, send)

    async def close(self) -> None:
        """End all pages."""
        await self._stack.aclose()

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if any(path == p or (p.endswith("/") and path.startswith(p)) for p in OPEN_PATHS):
            await self._sign_in(scope, receive, with_safe_headers(send))
            return
        visit = self._visit(HTTPConnection(scope))
        if visit is None:
            await _send_away(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {}).update(visit=visit, nonce=nonce)
        pages = await self._open_pages()
        await pages(scope, receive, with_safe_headers(send, nonce))

    def _visit(self, connection: HTTPConnection) -> Visit | None:
        token = connection.cookies.get(COOKIE)
        project_id = self._sessions.project(token)
        if project_id is None:
            return None
        return Visit(
            self._store,
            self._presence,
            self._calls,
            project_id,
            self._max_artifact_bytes,
            is_open=lambda: self._sessions.project(token) is not None,
        )

    async def _open_pages(self) -> ASGIApp:
        async with self._opening:
            if self._pages is not None:
                return self._pages
            # A second of CPU: devices are to be answered meanwhile.
            shell = await asyncio.to_thread(importlib.import_module, "localcloud.console.shell")
            pages: ASGIApp = await self._stack.enter_async_context(shell.running_pages())
            self._pages = pages
            return pages


def _is_same_site(scope: Scope) -> bool:
    """Whether what changes something, or stays connected, comes from this server's own pages.

    Browsers name the page's origin with both. Programs need no console.
    """
    if scope["type"] == "http" and scope["method"] in _HARMLESS:
        return True
    headers = Headers(scope=scope)
    origin = headers.get("origin", "")
    return bool(origin) and urlsplit(origin).netloc == headers.get("host")


async def _send_away(scope: Scope, receive: Receive, send: Send) -> None:
    wants_page = "text/html" in Headers(scope=scope).get("accept", "")
    if scope["type"] == "http" and scope["method"] == "GET" and wants_page:
        target = f"{SIGN_IN}?next={quote(scope['path'])}"
        await RedirectResponse(target, 303)(scope, receive, with_safe_headers(send))
        return
    await _refuse(scope, receive, send, 401, "sign in on the console first")


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": why})
        return
    answer: Response = JSONResponse({"error": why}, status)
    await answer(scope, receive, with_safe_headers(send))
