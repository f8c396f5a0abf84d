"""What the HTTP port serves: the management API below ``/v1``, the console everywhere else."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


def web_app(api: ASGIApp, console: ASGIApp) -> ASGIApp:
    """Both on one port."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        app = api if f"{scope['path']}/".startswith("/v1/") else console
        await app(scope, receive, send)

    return serve
