"""What every request passes: whom it was sent to, and headers that keep other sites out.

A page of another site can make a browser send requests here, also on loopback: directly, which the
headers make useless to it, or under its own name that it lets point here (DNS rebinding), which the
check of the Host header refuses.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; img-src 'self' data:; form-action 'none'; base-uri 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Wraps an application."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        """``hosts`` may be asked for beside localhost, this machine's names and IP addresses."""
        self._app = app
        name = socket.gethostname().lower()
        self._hosts = {"localhost", name, f"{name}.local", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        app: ASGIApp = self._app
        host = Headers(scope=scope).get("host", "")
        if not self._known(host):
            app = PlainTextResponse(
                "This name is not known here; add it to worker.preview.hosts.\n", status_code=421
            )

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await app(scope, receive, send_guarded)

    def _known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._hosts:
            return True
        try:
            # A rebinding attack needs a name that changes its address; an address is none.
            ip_address(name)
        except ValueError:
            return False
        return True
