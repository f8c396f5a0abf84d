"""How much a request may send."""

from __future__ import annotations

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Bodies are read before anything looks at the key, so strangers may send only small ones.
STRANGERS_BODY = 64 * 1024


class LimitBody:
    """Refuses larger request bodies while they arrive, whatever their headers say.

    ``is_known`` tells who may send ``limit`` bytes; everybody else has :data:`STRANGERS_BODY`.
    """

    def __init__(self, app: ASGIApp, is_known: Callable[[Request], bool], limit: int) -> None:
        self._app = app
        self._is_known = is_known
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        allowed = self._limit if self._is_known(Request(scope)) else STRANGERS_BODY
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > allowed:
                raise HTTPException(413, f"the body is larger than {allowed} bytes")
            return message

        return await self._app(scope, counted, send)
