"""Pre-shared keys (RFC 4279): the two callbacks OpenSSL asks.

They run inside OpenSSL's C code. An exception can't cross it, so each failure is logged and
answered with 0 ("no key"), which ends the handshake with an alert.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from protocol.credentials import PskCredential
from protocol.dtls.notes import notes_of

log = logging.getLogger(__name__)

_CLIENT_TYPE = (
    "unsigned int (*)(SSL *, const char *, char *, unsigned int, unsigned char *, unsigned int)"
)
_SERVER_TYPE = "unsigned int (*)(SSL *, const char *, unsigned char *, unsigned int)"


def use_psk(context: SSL.Context, credential: PskCredential) -> None:
    """Make a client context authenticate with a pre-shared key."""
    identity = credential.identity.encode() + b"\0"
    key = credential.key

    def answer(
        _ssl: Any, _hint: Any, identity_out: Any, identity_room: int, key_out: Any, key_room: int
    ) -> int:
        if len(identity) > identity_room or len(key) > key_room:
            return 0
        ffi.memmove(identity_out, identity, len(identity))
        ffi.memmove(key_out, key, len(key))
        return len(key)

    callback = ffi.callback(_CLIENT_TYPE, answer, error=0)
    lib.SSL_CTX_set_psk_client_callback(context._context, callback)
    _keep_with(context, callback)


def serve_psk(context: SSL.Context, lookup: Callable[[str], bytes | None]) -> None:
    """Make a server context ask ``lookup`` for the key of each identity a client names."""

    def answer(ssl: Any, identity_in: Any, key_out: Any, key_room: int) -> int:
        try:
            identity = ffi.string(identity_in).decode()
            key = lookup(identity)
            if not key or len(key) > key_room:
                return 0
            notes_of(SSL.Connection._reverse_mapping[ssl]).psk_identity = identity
        except UnicodeDecodeError:
            return 0
        except Exception:
            log.exception("looking up a pre-shared key failed; the client is refused")
            return 0
        ffi.memmove(key_out, key, len(key))
        return len(key)

    callback = ffi.callback(_SERVER_TYPE, answer, error=0)
    lib.SSL_CTX_set_psk_server_callback(context._context, callback)
    _keep_with(context, callback)


def _keep_with(context: SSL.Context, callback: object) -> None:
    """OpenSSL holds a bare pointer to the callback: it must live as long as the context."""
    context.set_app_data(callback)
