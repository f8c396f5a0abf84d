"""A certificate and its private key, on disk and in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from provisioning import files
from provisioning.errors import PkiError, WouldOverwrite


@dataclass(frozen=True)
class KeyPair:
    """Where a certificate and its key are, or will be."""

    certificate: Path
    key: Path

    @classmethod
    def in_folder(cls, folder: Path, name: str) -> KeyPair:
        """``<name>.crt.pem`` and ``<name>.key.pem``, the names that Golioth's scripts use."""
        return cls(folder / f"{name}.crt.pem", folder / f"{name}.key.pem")


@dataclass(frozen=True)
class LoadedKeyPair:
    """A certificate and its key in memory; the key is in no representation."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)


def save(pair: KeyPair, content: LoadedKeyPair, *, overwrite: bool = False) -> KeyPair:
    """Write both files, the key readable by its owner alone.

    Raises:
        WouldOverwrite: one of them is there already; then neither is written.
        PkiError: they can't be written.
    """
    for path in (pair.certificate, pair.key):
        if path.exists() and not overwrite:
            raise WouldOverwrite(path)
    key = content.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    files.write(pair.key, key, files.SECRET, overwrite=overwrite)
    certificate = content.certificate.public_bytes(serialization.Encoding.PEM)
    files.write(pair.certificate, certificate, files.PUBLIC, overwrite=overwrite)
    return pair


def load(pair: KeyPair, next_step: str) -> LoadedKeyPair:
    """Read both files; ``next_step`` ends the message where one is missing.

    Raises:
        PkiError: a file is missing or unreadable, or the two don't belong together.
    """
    certificate = load_certificate(pair.certificate, next_step)
    key = _load_key(pair.key, next_step)
    if certificate.public_key() != key.public_key():
        raise PkiError(
            f"{pair.key} is not the key of {pair.certificate}; put the two together that were made "
            "together"
        )
    return LoadedKeyPair(certificate, key)


def load_certificate(path: Path, next_step: str) -> x509.Certificate:
    """Read a PEM certificate.

    Raises:
        PkiError: the file is missing, unreadable, or holds no certificate.
    """
    try:
        return x509.load_pem_x509_certificate(files.read(path, next_step))
    except ValueError as error:
        raise PkiError(f"{path} is no PEM certificate; {next_step}") from error


def _load_key(path: Path, next_step: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(files.read(path, next_step), password=None)
    except TypeError as error:
        raise PkiError(f"{path} asks for a passphrase; decrypt it with: openssl ec") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PkiError(f"{path} is no PEM private key; {next_step}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise PkiError(
            f"{path} is not a P-256 key, the only kind Golioth's devices use; {next_step}"
        )
    return key
