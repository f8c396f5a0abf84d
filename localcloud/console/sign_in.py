"""Signing in and out, on plain pages without scripts."""

from __future__ import annotations

import html
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from localcloud.console.sessions import LIFETIME, Sessions
from localcloud.errors import Unauthenticated

COOKIE = "edgeferry_cloud"
SIGN_IN = "/sign-in"
OPEN_PATHS = (SIGN_IN, "/sign-out", "/static/", "/favicon.ico")
"""What everybody may ask for: paths, and folders where they end in a slash."""

_STATIC = Path(__file__).parent / "static"
_PAGE = Template((Path(__file__).parent / "sign_in.html").read_text())
_MAX_FORM = 4096


def sign_in_app(sessions: Sessions) -> Starlette:
    """The pages and files at :data:`OPEN_PATHS`."""

    async def ask(request: Request) -> Response:
        """The form."""
        return _form(request.query_params.get("next", "/"))

    async def sign_in(request: Request) -> Response:
        """Take the API key of the form for a cookie no script can read."""
        form = parse_qs((await request.body())[:_MAX_FORM].decode(errors="replace"))
        wanted = form.get("next", ["/"])[0]
        try:
            token = sessions.open(form.get("key", [""])[0].strip())
        except Unauthenticated:
            return _form(wanted, "This key is not known here. Look in the file again.")
        answer = RedirectResponse(_own_path(wanted), status_code=303)
        answer.set_cookie(
            COOKIE,
            token,
            max_age=int(LIFETIME),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def sign_out(request: Request) -> Response:
        """Forget the cookie on both sides."""
        sessions.close(request.cookies.get(COOKIE))
        answer = RedirectResponse(SIGN_IN, status_code=303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    async def icon(_request: Request) -> Response:
        """Browsers ask for it by themselves."""
        return FileResponse(_STATIC / "mark.svg")

    return Starlette(
        routes=[
            Route(SIGN_IN, ask, methods=["GET"]),
            Route(SIGN_IN, sign_in, methods=["POST"]),
            Route("/sign-out", sign_out, methods=["POST"]),
            Route("/favicon.ico", icon),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ]
    )


def _form(wanted: str, trouble: str = "") -> Response:
    page = _PAGE.substitute(next=html.escape(_own_path(wanted)), trouble=html.escape(trouble))
    return HTMLResponse(page, status_code=401 if trouble else 200)


def _own_path(wanted: str) -> str:
    """Where to go after signing in: a path of this server, never another site."""
    return wanted if wanted.startswith("/") and wanted[1:2] not in ("/", "\\") else "/"
