"""What OpenSSL's callbacks learn about a connection."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from OpenSSL import SSL, crypto

from protocol.x509_reading import UNREADABLE

_FATAL = 2
_CERT_NOT_YET_VALID = 9  # X509_V_ERR_CERT_NOT_YET_VALID of openssl/x509_vfy.h


@dataclass
class Notes:
    """Filled by callbacks, read by :class:`~protocol.dtls.connection.DtlsConnection`.

    It hangs on the OpenSSL connection as its app_data and knows nothing of it: no reference cycle.
    """

    cookie_subject: bytes = b""
    fatal_alert: int | None = None
    psk_identity: str | None = None
    not_before: datetime | None = None
    """When the certificate begins that the peer showed too early."""


def notes_of(connection: SSL.Connection) -> Notes:
    """The notes attached to a connection; made when it has none yet."""
    notes = connection.get_app_data()
    if not isinstance(notes, Notes):
        notes = Notes()
        connection.set_app_data(notes)
    return notes


def note_alerts(connection: SSL.Connection, where: int, value: int) -> None:
    """Info callback: remember the fatal alert the peer sent."""
    if where & SSL.SSL_CB_READ_ALERT == SSL.SSL_CB_READ_ALERT and value >> 8 == _FATAL:
        notes_of(connection).fatal_alert = value & 0xFF


def note_verification(
    connection: SSL.Connection, certificate: crypto.X509, result: int, _depth: int, accepted: int
) -> bool:
    """Verify callback: OpenSSL's verdict stands; remember what a clock that is behind can learn.

    OpenSSL checks host, issuers and signature before the dates, so what is noted was signed by
    somebody who is trusted.
    """
    if result == _CERT_NOT_YET_VALID:
        # An error would take the place of OpenSSL's verdict.
        with suppress(*UNREADABLE):
            notes_of(connection).not_before = certificate.to_cryptography().not_valid_before_utc
    return bool(accepted)
