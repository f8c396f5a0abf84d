"""Everything the protocol layer raises.

Three questions decide what a caller does next, and the tree answers them: was it the link (try
again later), the server's answer (read the code), or something only a person can mend (a
credential)?
"""
# ruff: noqa: N818 - most names say what happened, and read better without "Error"

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from aiocoap import Code

CauseCode = Literal["host-name", "not-yet-valid", "expired", "unknown-ca", "other"]
CredentialCause = Literal["missing", "unreadable", "exposed", "mismatch", "malformed"]

_REQUEST_ENTITY_INCOMPLETE = (4 << 5) + 8  # RFC 7959, 2.9.2; without aiocoap, which is slow to load


class ProtocolError(Exception):
    """Base of all errors of this package."""


def code_of(error: ProtocolError) -> str:
    """A short name for scripts, such as ``device-certificate-refused/expired``."""
    name = re.sub("(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()
    cause = getattr(error, "cause_code", None)
    return f"{name}/{cause}" if cause else name


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


class DeviceCertificateRefused(HandshakeRefused):
    """The server did not accept this device's certificate.

    ``cause_code`` is ``not-yet-valid``, ``expired`` or ``unknown-ca``, judged by what this side
    knows of its certificate: servers say little, some the same for every fault.
    """

    def __init__(self, message: str, alert: str, cause_code: CauseCode) -> None:
        super().__init__(message, alert)
        self.cause_code = cause_code


class ServerUntrusted(LinkError):
    """The server's certificate was not accepted by this side.

    ``cause_code`` is ``host-name``, ``not-yet-valid``, ``expired``, ``unknown-ca`` or ``other``;
    ``not_before`` is when a certificate begins that is not yet valid.
    """

    def __init__(
        self, message: str, cause_code: CauseCode, not_before: datetime | None = None
    ) -> None:
        super().__init__(message)
        self.cause_code = cause_code
        self.not_before = not_before


class LinkLost(LinkError):
    """An established link went silent or was closed; it can't be used any more, connect again."""


class PeerClosed(LinkLost):
    """The peer ended the link in good order."""


class DeviceNotAdmitted(LinkError):
    """The handshake succeeded, but the server ended the session without answering anything."""

    def __init__(self) -> None:
        super().__init__(
            "the server ended the session without an answer: no project admits this device;"
            " check that O of its certificate is the project's id, that the project trusts its CA,"
            " and that the device is enabled"
        )


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


def may_pass(error: ProtocolError) -> bool:
    """Whether the same request may be answered otherwise later.

    5.xx come and go; 4.08 is answered where blocks were lost or overtook each other.
    """
    if not isinstance(error, ResponseError):
        return False
    return bool(error.code.class_ == 5 or error.code == _REQUEST_ENTITY_INCOMPLETE)


class CredentialError(ProtocolError):
    """A credential can't be used. The text names the file or field and the next step.

    ``cause_code`` is ``missing``, ``unreadable``, ``exposed`` (others may read the secret),
    ``mismatch`` (the key is of another certificate) or ``malformed``.
    """

    exit_status: ClassVar[int] = 2

    def __init__(
        self,
        subject: Path | str,
        problem: str,
        advice: str,
        cause_code: CredentialCause = "malformed",
    ) -> None:
        super().__init__(f"{subject}: {problem}; {advice}")
        self.cause_code = cause_code


class CodecError(ProtocolError):
    """Bytes that are not what they should be: no manifest, no report, no log line."""
