"""Certificates for tests, made the way Golioth's own scripts make them: P-256, SHA-256."""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

YEAR = timedelta(days=365)
_VERSION_3, _VERSION_2 = bytes.fromhex("a003020102"), bytes.fromhex("a003020101")
_ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


@dataclass(frozen=True)
class Issued:
    """PEM files of a certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """Issues server and device certificates into a folder; a root of its own unless ``above``."""

    def __init__(self, folder: Path, name: str, above: Authority | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(name)
        issuer = above or self
        now = datetime.now(UTC)
        self.root = (
            _builder(self._name, issuer._name, self._key, now - YEAR, now + YEAR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(issuer._key, hashes.SHA256())
        )
        self.bundle = folder / "root.pem"
        self.bundle.write_bytes(self.root.public_bytes(serialization.Encoding.PEM))

    def server(
        self, *hosts: str, starts_in: timedelta = -YEAR / 2, ends_in: timedelta = YEAR / 2
    ) -> Issued:
        """A server certificate for host names and IP addresses."""
        names: list[x509.GeneralName] = []
        for host in hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        return self._issue(_subject(hosts[0]), starts_in, ends_in, names)

    def device(
        self,
        certificate_id: str,
        project: str = "warehouse",
        *,
        starts_in: timedelta = -YEAR / 2,
        ends_in: timedelta = YEAR / 2,
    ) -> Issued:
        """A device certificate without any extension, as Golioth's scripts write it."""
        return self._issue(_subject(certificate_id, project), starts_in, ends_in, [])

    def odd_device(self, certificate_id: str, project: str = "warehouse") -> Issued:
        """As :meth:`device`, of X.509 version 2: fine by OpenSSL, unreadable for cryptography."""
        issued = self.device(certificate_id, project)
        certificate = x509.load_pem_x509_certificate(issued.certificate.read_bytes())
        signed = certificate.tbs_certificate_bytes.replace(_VERSION_3, _VERSION_2, 1)
        signature = self._key.sign(signed, ec.ECDSA(hashes.SHA256()))
        bits = _der(0x03, b"\0" + signature)
        encoded = _der(0x30, signed + _ECDSA_WITH_SHA256 + bits)
        text = base64.encodebytes(encoded)
        issued.certificate.write_bytes(
            b"-----BEGIN CERTIFICATE-----\n" + text + b"-----END CERTIFICATE-----\n"
        )
        return issued

    def _issue(
        self,
        subject: x509.Name,
        starts_in: timedelta,
        ends_in: timedelta,
        alternatives: list[x509.GeneralName],
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        builder = _builder(subject, self._name, key, now + starts_in, now + ends_in)
        if alternatives:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternatives), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        stem = self._folder / f"{certificate.serial_number:x}"
        issued = Issued(stem.with_suffix(".crt"), stem.with_suffix(".key"))
        issued.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        issued.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        issued.key.chmod(0o600)
        return issued


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    size = bytes([length]) if length < 0x80 else b"\x82" + length.to_bytes(2, "big")
    return bytes([tag]) + size + content


def _subject(common_name: str, organization: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    starts: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
    )
