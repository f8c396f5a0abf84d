"""The cloud's own certificate, and the CA behind it that devices are given to trust."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud.errors import DataDirectoryError
from localcloud.files import write_whole
from localcloud.settings import EVERYWHERE
from protocol.credentials import KeyPair, load_certificates, load_key_pair
from protocol.errors import CredentialError
from protocol.x509_reading import is_issued_by

_CA_LIFE = timedelta(days=3650)
_SERVER_LIFE = timedelta(days=397)
_RENEW_BEFORE = timedelta(days=30)
# Devices' clocks may be a little behind.
_BACKDATE = timedelta(days=1)


@dataclass(frozen=True)
class ServerCertificate:
    """PEM files: the server's certificate and key, and the CA a device must trust."""

    certificate: Path
    key: Path
    ca: Path


def ensure_server_certificate(folder: Path, host: str) -> ServerCertificate:
    """Make or renew the certificate for ``host``, localhost and the loopback addresses.

    The CA stays the same as long as it is valid, so devices provisioned once keep working.
    Raises DataDirectoryError for files that are damaged, OSError for a folder that can't be used.
    """
    folder.mkdir(exist_ok=True, mode=0o700)
    files = ServerCertificate(
        folder / "server.crt.pem", folder / "server.key.pem", folder / "server-ca.crt.pem"
    )
    try:
        ca = load_or_make_ca(folder, "server-ca", "Edgeferry local cloud CA")
        if not _serves(files, ca.chain[0], _names(host)):
            _make_server(files, ca, host)
    except CredentialError as error:
        raise DataDirectoryError(
            f"a damaged certificate or key: {error};"
            f" or delete {folder} and give devices the new server CA"
        ) from error
    return files


def load_or_make_ca(folder: Path, stem: str, name: str) -> KeyPair:
    """The CA in ``<stem>.crt.pem`` and ``<stem>.key.pem``.

    Made there when there is none, and anew before it expires. Raises CredentialError for files that
    are damaged.
    """
    certificate_file, key_file = folder / f"{stem}.crt.pem", folder / f"{stem}.key.pem"
    if not certificate_file.exists() or _expires(load_certificates(certificate_file)[0]):
        _make_ca(certificate_file, key_file, name)
    return load_key_pair(certificate_file, key_file)


def _expires(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - _RENEW_BEFORE < datetime.now(UTC)


def _serves(files: ServerCertificate, ca: x509.Certificate, names: set[str]) -> bool:
    """Whether there is a server certificate that will do; one of another authority may."""
    if not files.certificate.exists():
        return False
    certificate = load_key_pair(files.certificate, files.key).chain[0]
    by_former_ca = certificate.issuer == ca.subject and not is_issued_by(certificate, ca)
    return not by_former_ca and not _expires(certificate) and names <= _names_in(certificate)


def _names(host: str) -> set[str]:
    return {"localhost", "127.0.0.1", "::1"} | ({host} - EVERYWHERE)


def _names_in(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = names.get_values_for_type(x509.IPAddress)
    return {*names.get_values_for_type(x509.DNSName), *map(str, addresses)}


def _make_ca(certificate_file: Path, key_file: Path, common_name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        _builder(name, name, key.public_key(), _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
    )
    _write_pair(certificate_file, key_file, builder.sign(key, hashes.SHA256()), key)


def _make_server(files: ServerCertificate, ca: KeyPair, host: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    builder = (
        _builder(name, ca.chain[0].subject, key.public_key(), _SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(authority, critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(n) for n in sorted(_names(host))]),
            critical=False,
        )
    )
    _write_pair(files.certificate, files.key, builder.sign(ca.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_pair(
    certificate_file: Path,
    key_file: Path,
    certificate: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
) -> None:
    # Never a certificate beside another's key: a kill on the way leaves none, and both are made
    # again.
    certificate_file.unlink(missing_ok=True)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_whole(key_file, pem, mode=0o600)
    write_whole(certificate_file, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
