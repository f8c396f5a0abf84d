"""From OpenSSL's numbers to errors a person can act on."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509

from protocol.credentials import project_of
from protocol.dtls.bindings import verify_result_text
from protocol.errors import (
    CauseCode,
    DeviceCertificateRefused,
    HandshakeRefused,
    ServerUntrusted,
)

# TLS alert registry (RFC 5246, 7.2; RFC 4279; RFC 6066).
_ALERTS = {
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    90: "user_canceled",
    112: "unrecognized_name",
    115: "unknown_psk_identity",
}
_CERTIFICATE_ALERTS = range(42, 50)
_CERTIFICATE_ALERT_NAMES = frozenset(_ALERTS[alert] for alert in _CERTIFICATE_ALERTS)
_EXPIRED = _ALERTS[45]
_UNKNOWN_PSK_IDENTITY = 115
_NO_COMMON_GROUND = (40, 70, 71)

# X509_V_ERR_* of openssl/x509_vfy.h.
_CAUSES: dict[int, CauseCode] = {
    2: "unknown-ca",
    9: "not-yet-valid",
    10: "expired",
    18: "unknown-ca",
    19: "unknown-ca",
    20: "unknown-ca",
    21: "unknown-ca",
    62: "host-name",
    64: "host-name",
}
_CAUSE_ADVICE: dict[CauseCode, str] = {
    "host-name": "check the server's host name, or have its certificate name this host",
    "not-yet-valid": "check this machine's clock, it is probably behind",
    "expired": "check this machine's clock; if it is right the server needs a new certificate",
    "unknown-ca": "check the configured server CA bundle",
    "other": "check the server's certificate",
}


def alert_name(alert: int) -> str:
    """The registered name of a TLS alert."""
    return _ALERTS.get(alert, f"alert_{alert}")


def refused(alert: int) -> HandshakeRefused:
    """The error for a fatal alert that came in during the handshake."""
    name = alert_name(alert)
    if alert == _UNKNOWN_PSK_IDENTITY:
        cause = "it does not know the PSK identity: check it, <credential id>@<project id>"
    elif alert in _CERTIFICATE_ALERTS:
        cause = (
            "it does not accept this device's certificate: check its dates"
            " and that its CA is uploaded to the project"
        )
    elif alert in _NO_COMMON_GROUND:
        cause = "no common ground: it may not offer this kind of credential"
    else:
        cause = "see the server's log"
    return HandshakeRefused(f"the server refused the handshake ({name}); {cause}", name)


def explained(
    refusal: HandshakeRefused, own: x509.Certificate | None, now: datetime
) -> HandshakeRefused:
    """What a refusal means for a device with this certificate, None with PSK, at this time."""
    if own is None or refusal.alert not in _CERTIFICATE_ALERT_NAMES:
        return refusal
    clock = f"this device's clock says {_day(now)}"
    if now < own.not_valid_before_utc:
        cause: CauseCode = "not-yet-valid"
        why = f"it is valid from {_day(own.not_valid_before_utc)} on; {clock}: set it, or wait"
    elif now > own.not_valid_after_utc or refusal.alert == _EXPIRED:
        cause = "expired"
        why = f"it expired on {_day(own.not_valid_after_utc)}; issue a new one ({clock})"
    else:
        cause = "unknown-ca"
        why = (
            f"check that its CA ({own.issuer.rfc4514_string()}) is uploaded"
            f" to its project ({project_of(own)})"
        )
    message = f"the server does not accept this device's certificate ({refusal.alert}); {why}"
    return DeviceCertificateRefused(message, refusal.alert, cause)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def untrusted(verify_result: int, not_before: datetime | None) -> ServerUntrusted:
    """The error for a server certificate that OpenSSL did not accept, by its X509_V_* code."""
    cause = _CAUSES.get(verify_result, "other")
    text = verify_result_text(verify_result)
    return ServerUntrusted(
        f"the server's certificate is not trusted ({text}); {_CAUSE_ADVICE[cause]}",
        cause,
        not_before,
    )
