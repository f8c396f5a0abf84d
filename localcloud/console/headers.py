"""The headers every answer of the console has."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

# Vue compiles the pages' templates in the browser, hence 'unsafe-eval'; what may be executed at all
# is still only what this server sent: files of its own and inline scripts that have the nonce.
_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval';"
    " style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PLAIN_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then hide the origin of forms, which the entrance looks at.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def with_safe_headers(send: Send, nonce: str | None = None) -> Send:
    """Sends on with the headers added; inline scripts must have the nonce, None allows no script.

    What sets no Cache-Control itself is not kept by anybody.
    """
    policy = _PLAIN_POLICY if nonce is None else _POLICY.format(nonce=nonce)

    async def send_safely(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
            headers["Content-Security-Policy"] = policy
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return send_safely
