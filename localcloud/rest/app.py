"""The ASGI application: the management API below ``/v1`` and the fleet page at ``/``."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localcloud.calls import Calls
from localcloud.errors import CloudError
from localcloud.page.summary import Fleet
from localcloud.page.views import page_router
from localcloud.rest import deliveries, devices, projects, reports, settings, stream
from localcloud.rest.access import secret_of
from localcloud.rest.answers import install_error_answers
from localcloud.storage.store import Store

# Bodies are read before anything looks at the key, so strangers may send only small ones.
_STRANGERS_BODY = 64 * 1024


def build_app(store: Store, fleet: Fleet, calls: Calls, *, max_artifact_bytes: int) -> FastAPI:
    """The application over a store. Artifacts up to ``max_artifact_bytes`` may be uploaded."""
    app = FastAPI(title="Local cloud", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.store = store
    app.state.calls = calls
    app.state.max_artifact_bytes = max_artifact_bytes
    install_error_answers(app)
    for module in (projects, devices, deliveries, reports, settings, stream):
        app.include_router(module.router, prefix="/v1")
    app.include_router(page_router(store, fleet))
    # Base64 takes 4 bytes for 3.
    app.add_middleware(LimitBody, store=store, limit=max_artifact_bytes * 4 // 3 + _STRANGERS_BODY)
    return app


class LimitBody:
    """Refuses larger request bodies while they arrive, whatever their headers say."""

    def __init__(self, app: ASGIApp, store: Store, limit: int) -> None:
        self._app = app
        self._store = store
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        allowed = self._limit if self._knows(Request(scope)) else _STRANGERS_BODY
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > allowed:
                raise HTTPException(413, f"the body is larger than {allowed} bytes")
            return message

        return await self._app(scope, counted, send)

    def _knows(self, request: Request) -> bool:
        try:
            self._store.api_keys.project_of(secret_of(request))
        except CloudError:
            return False
        return True
