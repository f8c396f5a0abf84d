"""The project's certificate authority, and the certificates it issues.

Golioth finds a device by its certificate: subject O is the project's slug, CN the certificate id,
and the root is uploaded to the project; nothing else in the subject counts. Keys are P-256,
signatures SHA-256, as in the scripts of Golioth's SDK, whose authorities are accepted here too. ::

    ca = create_ca(KeyPair.in_folder(Path("pki"), "ca"), "Warehouse 7")
    issue_device(ca, KeyPair.in_folder(Path("pki"), "camera-12"), "warehouse", "camera-12")
    issue_server(ca, KeyPair.in_folder(Path("pki"), "server"), ["cloud.local", "192.168.1.9"])

Nothing is overwritten unless asked for, and key files are readable by their owner alone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provisioning.errors import PkiError
from provisioning.key_pair import KeyPair, LoadedKeyPair, load, save

__all__ = ["KeyPair", "create_ca", "issue_device", "issue_server", "load_ca"]

CA_DAYS, DEVICE_DAYS, SERVER_DAYS = 3650, 730, 365
# Clocks of devices and servers differ: what is issued now must be valid there at once.
_BACKDATED = timedelta(days=1)
_LONGEST_NAME = 64  # RFC 5280, appendix A: ub-common-name, ub-organization-name
_Lifetime = tuple[datetime, datetime]


def create_ca(ca: KeyPair, name: str, *, days: int = CA_DAYS, overwrite: bool = False) -> KeyPair:
    """Make a self-signed authority that issues device and server certificates but no other CA.

    Raises:
        WouldOverwrite: there is one already; the devices that it vouches for would be cut off.
        PkiError: the name is unfit or the files can't be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject({NameOID.COMMON_NAME: name})
    now = datetime.now(UTC)
    certificate = (
        _builder(subject, subject, key, (now - _BACKDATED, now + timedelta(days=days)))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return save(ca, LoadedKeyPair(certificate, key), overwrite=overwrite)


def issue_device(
    ca: KeyPair,
    device: KeyPair,
    project: str,
    certificate_id: str,
    *,
    days: int = DEVICE_DAYS,
    overwrite: bool = False,
) -> KeyPair:
    """Issue a client certificate for one device of the project with that slug.

    Raises:
        WouldOverwrite: ``device`` is there already.
        PkiError: the authority can't issue, or a name is empty or too long.
    """
    subject = _subject({NameOID.ORGANIZATION_NAME: project, NameOID.COMMON_NAME: certificate_id})
    issued = _issue(load_ca(ca), subject, ExtendedKeyUsageOID.CLIENT_AUTH, days)
    return save(device, issued, overwrite=overwrite)


def issue_server(
    ca: KeyPair,
    server: KeyPair,
    hosts: Sequence[str],
    *,
    days: int = SERVER_DAYS,
    overwrite: bool = False,
) -> KeyPair:
    """Issue a server certificate for DNS names and IP addresses, the first of them also its CN.

    Raises:
        WouldOverwrite: ``server`` is there already.
        PkiError: the authority can't issue, no host is given, or one is no host name.
    """
    if not hosts:
        raise PkiError("a server certificate needs a host: give its DNS name or IP address")
    subject = _subject({NameOID.COMMON_NAME: hosts[0]})
    names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
    issued = _issue(load_ca(ca), subject, ExtendedKeyUsageOID.SERVER_AUTH, days, names)
    return save(server, issued, overwrite=overwrite)


def load_ca(ca: KeyPair) -> LoadedKeyPair:
    """Read an authority from disk.

    Raises:
        PkiError: a file is missing, unreadable, no CA's, expired, or the two don't belong together.
    """
    loaded = load(ca, "create a CA first, or name the folder that holds yours")
    certificate = loaded.certificate
    if not _may_issue(certificate):
        raise PkiError(f"{ca.certificate} is no CA certificate; name the one that signs devices")
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise PkiError(
            f"{ca.certificate} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; "
            "create a new CA and upload it to the project"
        )
    return loaded


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca


def _issue(
    ca: LoadedKeyPair,
    subject: x509.Name,
    purpose: x509.ObjectIdentifier,
    days: int,
    names: x509.SubjectAlternativeName | None = None,
) -> LoadedKeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(subject, ca.certificate.subject, key, _lifetime(ca.certificate, days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(_authority_key_identifier(ca), critical=False)
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return LoadedKeyPair(builder.sign(ca.key, hashes.SHA256()), key)


def _lifetime(issuer: x509.Certificate, days: int) -> _Lifetime:
    """A certificate can't live longer than the authority that vouches for it."""
    now = datetime.now(UTC)
    start = max(now - _BACKDATED, issuer.not_valid_before_utc)
    return start, min(now + timedelta(days=days), issuer.not_valid_after_utc)


def _subject(names: dict[x509.ObjectIdentifier, str]) -> x509.Name:
    for value in names.values():
        if not value.isprintable() or not value.strip() or len(value) > _LONGEST_NAME:
            raise PkiError(
                f"{value!r} can't stand in a certificate; give 1 to {_LONGEST_NAME} printable signs"
            )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in names.items()])


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


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: _Lifetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(lifetime[0])
        .not_valid_after(lifetime[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority_key_identifier(ca: LoadedKeyPair) -> x509.AuthorityKeyIdentifier:
    extensions = ca.certificate.extensions
    try:
        identifier = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
