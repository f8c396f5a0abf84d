"""What OpenSSL's callbacks learn about a connection."""

from __future__ import annotations

from dataclasses import dataclass

from OpenSSL import SSL

_FATAL = 2


@dataclass
class Notes:
    """Filled by callbacks, read by :class:`~protocol.dtls.connection.DtlsConnection`.

    It hangs on the OpenSSL connection as its app_data and knows nothing of it: no reference cycle.
    """

    cookie_subject: bytes = b""
    fatal_alert: int | None = None
    psk_identity: str | None = None


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
