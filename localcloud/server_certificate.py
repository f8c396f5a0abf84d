"""The cloud's own certificate, and the CA behind it that devices are given to trust."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud.errors import DataDirectoryError
from protocol.credentials import KeyPair, load_key_pair

_CA_LIFE = timedelta(days=3650)
_SERVER_LIFE = timedelta(days=397)
_RENEW_BEFORE = timedelta(days=30)
# Devices' clocks may be a little behind.
_BACKDATE = timedelta(days=1)
_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound


@dataclass(frozen=True)
class ServerCertificate:
    """PEM files: the server's certificate and key, and the CA a device must trust."""

    certificate: Path
    key: Path
    ca: Path


def ensure_server_certificate(folder: Path, host: str) -> ServerCertificate:
    """Make or renew the certificate for ``host``, localhost and the loopback addresses.

    The CA stays the same as long as it is valid, so devices provisioned once keep working.
    Raises DataDirectoryError for files that are damaged.
    """
    folder.mkdir(exist_ok=True, mode=0o700)
    files = ServerCertificate(
        folder / "server.crt.pem", folder / "server.key.pem", folder / "server-ca.crt.pem"
    )
    ca_key_file = folder / "server-ca.key.pem"
    try:
        if not _is_current(files.ca, set()):
            _make_ca(files.ca, ca_key_file, "Edgeferry local cloud CA")
            files.certificate.unlink(missing_ok=True)
        if not _is_current(files.certificate, _names(host)):
            _make_server(files, ca_key_file, host)
    except ValueError as error:
        raise DataDirectoryError(
            f"{folder} holds a damaged certificate or key ({error}); "
            "delete the folder and give devices the new server CA"
        ) from error
    return files


def _names(host: str) -> set[str]:
    return {"localhost", "127.0.0.1", "::1"} | ({host} - _EVERYWHERE)


def _is_current(path: Path, names: set[str]) -> bool:
    if not path.exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    if certificate.not_valid_after_utc - _RENEW_BEFORE < datetime.now(UTC):
        return False
    return not names or names <= _names_in(certificate)


def _names_in(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = names.get_values_for_type(x509.IPAddress)
    return {*names.get_values_for_type(x509.DNSName), *map(str, addresses)}


def load_or_make_ca(folder: Path, stem: str, name: str) -> KeyPair:
    """The CA in ``<stem>.crt.pem`` and ``<stem>.key.pem``, made there when there is none.

    Raises CredentialError for files that are damaged.
    """
    certificate_file, key_file = folder / f"{stem}.crt.pem", folder / f"{stem}.key.pem"
    if not certificate_file.exists():
        _make_ca(certificate_file, key_file, name)
    return load_key_pair(certificate_file, key_file)


def _make_ca(certificate_file: Path, key_file: Path, common_name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        _builder(name, name, key.public_key(), _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
    )
    _write_private(key_file, key)
    _write(certificate_file, builder.sign(key, hashes.SHA256()))


def _make_server(files: ServerCertificate, ca_key_file: Path, host: str) -> None:
    ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
    ca_key = serialization.load_pem_private_key(ca_key_file.read_bytes(), password=None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the CA's key is not an elliptic-curve key")  # noqa: TRY004 - damaged file
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = (
        _builder(name, ca.subject, key.public_key(), _SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(authority, critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(n) for n in sorted(_names(host))]),
            critical=False,
        )
    )
    _write_private(files.key, key)
    _write(files.certificate, builder.sign(ca_key, hashes.SHA256()))


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


def _write(path: Path, certificate: x509.Certificate) -> None:
    _replace(path, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _replace(path, pem, mode=0o600)


def _replace(path: Path, content: bytes, mode: int) -> None:
    # Whole or not at all: a killed process must not leave half a key behind.
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
