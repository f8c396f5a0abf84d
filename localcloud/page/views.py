"""The fleet page and its sign-in. Everything it loads comes from this server."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response

from localcloud.errors import Unauthenticated
from localcloud.page.sessions import LIFETIME, Sessions
from localcloud.page.summary import Fleet, summarize
from localcloud.storage.store import Store

COOKIE = "edgeferry_cloud"

_STATIC = Path(__file__).parent / "static"
_FILES = {"fleet.js": "text/javascript", "fleet.css": "text/css"}
_MAX_FORM = 4096
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page_router(store: Store, fleet: Fleet) -> APIRouter:
    """Routes of the page: ``/``, ``/sign-in``, ``/sign-out``, ``/fleet.json`` and two files."""
    router = APIRouter()
    sessions = Sessions()

    @router.get("/")
    async def show_page(request: Request) -> Response:
        """The fleet, or the sign-in form."""
        signed_in = sessions.project(request.cookies.get(COOKIE)) is not None
        return _file("fleet.html" if signed_in else "sign-in.html", "text/html")

    @router.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        """Take the API key of the form for a cookie no script can read."""
        form = parse_qs((await request.body())[:_MAX_FORM].decode(errors="replace"))
        try:
            project = store.api_keys.project_of(form.get("key", [""])[0].strip())
        except Unauthenticated:
            return _file("sign-in-failed.html", "text/html", status=401)
        answer = RedirectResponse("/", status_code=303, headers=_HEADERS)
        answer.set_cookie(
            COOKIE,
            sessions.open(project),
            max_age=int(LIFETIME),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    @router.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        """Forget the cookie on both sides."""
        sessions.close(request.cookies.get(COOKIE))
        answer = RedirectResponse("/", status_code=303, headers=_HEADERS)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    @router.get("/fleet.json")
    async def show_fleet(request: Request) -> Response:
        """What the page's script shows; asked for again every second."""
        project = sessions.project(request.cookies.get(COOKIE))
        if project is None:
            raise Unauthenticated("sign in on the fleet page first")
        summary: dict[str, Any] = summarize(store, fleet, project)
        return JSONResponse(summary, headers=_HEADERS)

    @router.get("/static/{name}")
    async def show_file(name: str) -> Response:
        """The page's script and style."""
        if name not in _FILES:
            return Response(status_code=404, headers=_HEADERS)
        return _file(name, _FILES[name])

    return router


def _file(name: str, media_type: str, status: int = 200) -> Response:
    return FileResponse(_STATIC / name, status, headers=_HEADERS, media_type=media_type)
