"""What every certificate of ours is built of: P-256 keys, SHA-256, and the extensions of its role.

Subjects, keys and signatures are those of the scripts in Golioth's SDK; the extensions, which
those leave out, say what a certificate is for (RFC 5280, section 4.2).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provisioning.errors import PkiError
from provisioning.key_pair import LoadedKeyPair

# Clocks of devices and servers differ: what is issued now must be valid there at once.
_BACKDATED = timedelta(days=1)
_LONGEST_NAME = 64  # RFC 5280, appendix A: ub-common-name, ub-organization-name


def new_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key, the only kind Golioth's devices use."""
    return ec.generate_private_key(ec.SECP256R1())


def root_certificate(
    key: ec.EllipticCurvePrivateKey, name: str, days: int, *, authorities_below: int
) -> x509.Certificate:
    """A self-signed authority with at most so many authorities between it and a device."""
    subject = common_name(name)
    now = datetime.now(UTC)
    builder = _builder(subject, subject, key.public_key())
    return _sign(
        builder.not_valid_before(now - _BACKDATED).not_valid_after(now + timedelta(days=days)),
        key,
        *_authority_extensions(authorities_below),
    )


def intermediate_certificate(
    issuer: LoadedKeyPair, public_key: ec.EllipticCurvePublicKey, name: str, days: int
) -> x509.Certificate:
    """An authority below ``issuer`` that signs devices and servers but no other authority."""
    return _issue(issuer, common_name(name), public_key, days, *_authority_extensions(0))


def device_certificate(
    issuer: LoadedKeyPair,
    public_key: ec.EllipticCurvePublicKey,
    project: str,
    certificate_id: str,
    days: int,
) -> x509.Certificate:
    """A client certificate for one device of the project with that slug."""
    subject = device_subject(project, certificate_id)
    usage = _end_entity_extensions(ExtendedKeyUsageOID.CLIENT_AUTH)
    return _issue(issuer, subject, public_key, days, *usage)


def server_certificate(
    issuer: LoadedKeyPair, public_key: ec.EllipticCurvePublicKey, hosts: Sequence[str], days: int
) -> x509.Certificate:
    """A server certificate for DNS names and IP addresses, the first of them also its CN."""
    names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
    usage = _end_entity_extensions(ExtendedKeyUsageOID.SERVER_AUTH)
    return _issue(issuer, common_name(hosts[0]), public_key, days, *usage, (names, False))


def device_subject(project: str, certificate_id: str) -> x509.Name:
    """Golioth: O is the project's slug, CN the certificate id; nothing else counts."""
    return _subject({NameOID.ORGANIZATION_NAME: project, NameOID.COMMON_NAME: certificate_id})


def common_name(name: str) -> x509.Name:
    """A subject of nothing but a CN. Raises PkiError for a name that can't stand there."""
    return _subject({NameOID.COMMON_NAME: name})


def subject_names(subject: x509.Name) -> tuple[str | None, str | None]:
    """O and CN of a subject, None where there is none or more than one."""
    return _only(subject, NameOID.ORGANIZATION_NAME), _only(subject, NameOID.COMMON_NAME)


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign other certificates."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether ``issuer`` signed it; dates and purposes are not looked at."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def pem(*certificates: x509.Certificate) -> bytes:
    """Certificates as PEM, one after the other."""
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, as ``openssl x509 -fingerprint -sha256`` writes it."""
    return _with_colons(certificate.fingerprint(hashes.SHA256()))


def key_fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the public key's DER form; the same for a request and its certificate."""
    digest = hashes.Hash(hashes.SHA256())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    digest.update(key.public_bytes(serialization.Encoding.DER, form))
    return _with_colons(digest.finalize())


def _issue(
    issuer: LoadedKeyPair,
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    days: int,
    *extensions: tuple[x509.ExtensionType, bool],
) -> x509.Certificate:
    above, now = issuer.certificate, datetime.now(UTC)
    # A certificate can't live longer than the authority that vouches for it.
    builder = (
        _builder(subject, above.subject, public_key)
        .not_valid_before(max(now - _BACKDATED, above.not_valid_before_utc))
        .not_valid_after(min(now + timedelta(days=days), above.not_valid_after_utc))
    )
    return _sign(builder, issuer.key, *extensions, (_authority_key_identifier(issuer), False))


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _sign(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    *extensions: tuple[x509.ExtensionType, bool],
) -> x509.Certificate:
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, hashes.SHA256())


def _authority_extensions(authorities_below: int) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    constraints = x509.BasicConstraints(ca=True, path_length=authorities_below)
    return (constraints, True), (_key_usage(signs_certificates=True), True)


def _end_entity_extensions(
    purpose: x509.ObjectIdentifier,
) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    return (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage([purpose]), False),
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key_identifier(issuer: LoadedKeyPair) -> x509.AuthorityKeyIdentifier:
    extensions = issuer.certificate.extensions
    try:
        identifier = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _subject(names: dict[x509.ObjectIdentifier, str]) -> x509.Name:
    for value in names.values():
        if not value.isprintable() or not value.strip() or len(value) > _LONGEST_NAME:
            raise PkiError(
                f"{value!r} can't stand in a certificate; give 1 to {_LONGEST_NAME} printable signs"
            )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in names.items()])


def _only(subject: x509.Name, oid: x509.ObjectIdentifier) -> str | None:
    values = subject.get_attributes_for_oid(oid)
    return str(values[0].value) if len(values) == 1 else None


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return _dns_name(host)


def _dns_name(host: str) -> x509.DNSName:
    labels = host.rstrip(".").split(".")
    if not all(label.replace("-", "").isalnum() and label.isascii() for label in labels):
        raise PkiError(f"{host!r} is neither a DNS name (write it in ASCII) nor an IP address")
    return x509.DNSName(host)


def _with_colons(digest: bytes) -> str:
    return digest.hex(":").upper()
