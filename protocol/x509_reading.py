"""Certificates and requests from elsewhere, with every part of them looked at.

cryptography reads most parts of one only when they are asked for, and has several errors for what
it can't read. Whoever stores a certificate or goes by it wants to know at once, and by one error.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
"""What cryptography raises for a certificate, or a part of one, that it can't read."""


def whole_certificate(
    load: Callable[[bytes], x509.Certificate], content: bytes
) -> x509.Certificate:
    """A certificate whose parts can all be read, but for its extensions.

    ``load`` is one of cryptography's functions. Raises ValueError.
    """
    try:
        return looked_through(load(content))
    except UNREADABLE as error:
        raise ValueError(str(error)) from error


def looked_through(certificate: x509.Certificate) -> x509.Certificate:
    """The certificate. Raises one of :data:`UNREADABLE`."""
    for name in (certificate.subject, certificate.issuer):
        name.rfc4514_string()
    certificate.public_key()
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    _ = certificate.serial_number, certificate.version, certificate.signature_algorithm_oid
    return certificate


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether ``authority`` has signed the certificate and bears its issuer's name.

    That is all that is looked at: neither dates nor whether it may sign at all.
    """
    try:
        certificate.verify_directly_issued_by(authority)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def only_attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str | None:
    """An attribute of a subject or issuer; None when it is missing or there are several."""
    values = name.get_attributes_for_oid(oid)
    return str(values[0].value) if len(values) == 1 else None


def whole_request(content: bytes) -> x509.CertificateSigningRequest:
    """A DER PKCS#10 request that its own key has signed. Raises ValueError."""
    try:
        request = x509.load_der_x509_csr(content)
        request.subject.rfc4514_string()
        proven = request.is_signature_valid
        request.public_key()
    except UNREADABLE as error:
        raise ValueError(str(error)) from error
    if not proven:
        raise ValueError("it is not signed by its own key")
    return request
