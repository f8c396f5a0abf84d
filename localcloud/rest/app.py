"""The management API below ``/v1`` as an ASGI application."""

from __future__ import annotations

from fastapi import FastAPI, Request

from localcloud.calls import Calls
from localcloud.errors import CloudError
from localcloud.limits import STRANGERS_BODY, LimitBody
from localcloud.rest import deliveries, devices, groups, projects, reports, settings, stream
from localcloud.rest.access import secret_of
from localcloud.rest.answers import install_error_answers
from localcloud.storage.store import Store


def build_api(store: Store, calls: Calls, *, max_artifact_bytes: int) -> FastAPI:
    """The application over a store. Artifacts up to ``max_artifact_bytes`` may be uploaded."""
    app = FastAPI(title="Local cloud", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.store = store
    app.state.calls = calls
    app.state.max_artifact_bytes = max_artifact_bytes
    install_error_answers(app)
    for module in (projects, devices, groups, deliveries, reports, settings, stream):
        app.include_router(module.router, prefix="/v1")

    def has_key(request: Request) -> bool:
        try:
            store.api_keys.project_of(secret_of(request))
        except CloudError:
            return False
        return True

    # Base64 takes 4 bytes for 3.
    limit = max_artifact_bytes * 4 // 3 + STRANGERS_BODY
    app.add_middleware(LimitBody, is_known=has_key, limit=limit)
    return app
