"""NiceGUI, started in the cloud's event loop when the first person signs in."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import Response
from jinja2 import BaseLoader, Environment
from nicegui import app as nicegui_app
from nicegui import ui
from nicegui.client import templates
from starlette.types import ASGIApp

from localcloud.console.pictures import jpeg
from localcloud.console.visit import Visit
from localcloud.errors import CloudError

_STATIC = Path(__file__).parent / "static"
_PAGES = ("fleet", "device", "packages", "cohorts", "cohort", "compare", "settings")
_HEAD = (
    '<link rel="stylesheet" href="/static/console.css">'
    '<script src="/static/console.js" defer></script>'
)

_Source = tuple[str, str | None, Callable[[], bool] | None]


@asynccontextmanager
async def running_pages() -> AsyncIterator[ASGIApp]:
    """The pages as an ASGI application, alive inside the context."""
    shell = _shell()
    async with shell.router.lifespan_context(shell):
        yield shell


@cache
def _shell() -> FastAPI:
    for name in _PAGES:
        importlib.import_module(f"localcloud.console.pages.{name}")
    assert templates.env.loader is not None, "NiceGUI reads its page from a file"
    templates.env.loader = _WithNonces(templates.env.loader)
    nicegui_app.config.socket_io_js_transports = ["websocket"]
    nicegui_app.colors(primary="#0b7d76", secondary="#0b2540", accent="#c87a00")
    ui.add_head_html(_HEAD, shared=True)
    shell = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    shell.add_api_route("/pictures/{device_id}/{kind}/{picture_id}", _picture)
    ui.run_with(
        shell,
        title="Edgeferry",
        favicon=_STATIC / "mark.svg",
        dark=None,
        tailwind=False,
        binding_refresh_interval=None,
        reconnect_timeout=10,
        cache_control_directives="private, max-age=86400",
        show_welcome_message=False,
    )
    return shell


async def _picture(request: Request, device_id: str, kind: str, picture_id: str) -> Response:
    visit: Visit = request.state.visit
    try:
        content = jpeg(visit, device_id, kind, picture_id)
    except CloudError as error:
        return Response(str(error), error.http_status)
    keep = {"Cache-Control": "private, max-age=86400, immutable"}
    return Response(content, media_type="image/jpeg", headers=keep)


class _WithNonces(BaseLoader):
    """Gives every script of NiceGUI's page the nonce of its answer; what data bring has none."""

    def __init__(self, original: BaseLoader) -> None:
        self._original = original

    def get_source(self, environment: Environment, template: str) -> _Source:
        """Called by Jinja, once per template."""
        source, name, is_fresh = self._original.get_source(environment, template)
        with_nonces = source.replace("<script", '<script nonce="{{ request.state.nonce }}"')
        return with_nonces, name, is_fresh
