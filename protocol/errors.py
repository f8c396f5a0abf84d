"""Everything the protocol layer raises.

Three questions decide what a caller does next, and the tree answers them: was it the link (try
again later), the server's answer (read the code), or something only a person can mend (a
credential)?
"""
# ruff: noqa: N818 - most names say what happened, and read better without "Error"

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from aiocoap import Code

CauseCode = Literal["host-name", "not-yet-valid", "expired", "unknown-ca", "other"]


class ProtocolError(Exception):
    """Base of all errors of this package."""


class LinkError(ProtocolError):
    """Nothing usable came back from the server; worth another try. ``str()`` carries advice."""


class HandshakeTimedOut(LinkError):
    """The DTLS handshake did not finish in time.

    A wrong PSK looks exactly like an unreachable server: records that fail the MAC are dropped
    silently (RFC 6347, 4.1.2.7), so the text always names both.
    """


class HandshakeRefused(LinkError):
    """The server ended the handshake with a fatal alert.

    ``alert`` is its registered name, for example ``unknown_psk_identity`` or ``unknown_ca``.
    """

    def __init__(self, message: str, alert: str) -> None:
        super().__init__(message)
        self.alert = alert


class ServerUntrusted(LinkError):
    """The server's certificate was not accepted by this side.

    ``cause_code`` is ``host-name``, ``not-yet-valid``, ``expired``, ``unknown-ca`` or ``other``.
    """

    def __init__(self, message: str, cause_code: CauseCode) -> None:
        super().__init__(message)
        self.cause_code = cause_code


class LinkLost(LinkError):
    """An established link went silent or was closed; it can't be used any more, connect again."""


class ResponseError(ProtocolError):
    """The server answered with an error code (4.xx or 5.xx).

    ``code`` is the :class:`aiocoap.Code`, ``diagnostic`` the payload as text (may be empty).
    """

    def __init__(self, code: Code, diagnostic: str) -> None:
        super().__init__(f"the server answered {code}" + (f": {diagnostic}" if diagnostic else ""))
        self.code = code
        self.diagnostic = diagnostic


class TooManyRequests(ResponseError):
    """4.29 (RFC 8516). ``retry_after`` is the answer's Max-Age in seconds, if it named one."""

    def __init__(self, code: Code, diagnostic: str, retry_after: float | None) -> None:
        super().__init__(code, diagnostic)
        self.retry_after = retry_after


class CredentialError(ProtocolError):
    """A credential can't be used. The text names the file or field and the next step."""

    def __init__(self, subject: Path | str, problem: str, advice: str) -> None:
        super().__init__(f"{subject}: {problem}; {advice}")


class CodecError(ProtocolError):
    """Bytes that are not what they should be: no manifest, no report, no log line."""
