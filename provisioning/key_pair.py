"""A certificate and its private key, on disk and in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from provisioning import files
from provisioning.errors import PkiError, WouldOverwrite, WrongPassphrase

CURVE = "secp256r1"

# Gives the passphrase of an encrypted key file.
AskPassphrase: TypeAlias = Callable[[Path], bytes]


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


def save(
    pair: KeyPair,
    content: LoadedKeyPair,
    *,
    passphrase: bytes | None = None,
    overwrite: bool = False,
) -> KeyPair:
    """Write both files, the key readable by its owner alone, encrypted by ``passphrase``.

    Raises:
        WouldOverwrite: one of them is there already; then neither is written.
        PkiError: they can't be written.
    """
    for path in (pair.certificate, pair.key):
        if not overwrite and files.is_there(path):
            raise WouldOverwrite(path)
    key = key_pem(content.key, passphrase)
    files.write(pair.key, key, files.SECRET, overwrite=overwrite)
    certificate = content.certificate.public_bytes(serialization.Encoding.PEM)
    files.write(pair.certificate, certificate, files.PUBLIC, overwrite=overwrite)
    return pair


def load(pair: KeyPair, next_step: str, passphrase: AskPassphrase | None = None) -> LoadedKeyPair:
    """Read both files; ``next_step`` ends the message where one is missing.

    ``passphrase`` is asked only when the key is encrypted.

    Raises:
        WrongPassphrase: it does not open the key.
        PkiError: a file is missing or unreadable, or the two don't belong together.
    """
    certificate = load_certificate(pair.certificate, next_step)
    key = load_key(pair.key, next_step, passphrase)
    if certificate.public_key() != key.public_key():
        raise PkiError(
            f"{pair.key} is not the key of {pair.certificate}; put the two together that were made "
            "together"
        )
    return LoadedKeyPair(certificate, key)


def load_certificate(path: Path, next_step: str) -> x509.Certificate:
    """Read a PEM certificate, the first where a file holds more.

    Raises:
        PkiError: the file is missing, unreadable, or holds no certificate.
    """
    try:
        return x509.load_pem_x509_certificate(files.read(path, next_step))
    except ValueError as error:
        raise PkiError(f"{path} is no PEM certificate; {next_step}") from error


def load_key(
    path: Path, next_step: str, passphrase: AskPassphrase | None = None
) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 key; ``passphrase`` is asked only when it is encrypted.

    Raises:
        WrongPassphrase: it does not open the key.
        PkiError: the file is missing, unreadable, or holds no such key.
    """
    key = load_private_key(path, next_step, passphrase)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != CURVE:
        raise PkiError(
            f"{path} is not a P-256 key, the only kind Golioth's devices use; {next_step}"
        )
    return key


def load_private_key(
    path: Path, next_step: str, passphrase: AskPassphrase | None = None
) -> PrivateKeyTypes:
    """Read a private key of any kind; ``passphrase`` is asked only when it is encrypted.

    Raises:
        WrongPassphrase: it does not open the key.
        PkiError: the file is missing, unreadable, or holds no private key.
    """
    content = files.read(path, next_step)
    secret = _passphrase(path, passphrase) if is_encrypted(content) else None
    try:
        return serialization.load_pem_private_key(content, secret)
    except (ValueError, UnsupportedAlgorithm) as error:
        if secret is not None:
            raise WrongPassphrase(path) from error
        raise PkiError(f"{path} is no PEM private key; {next_step}") from error


def is_encrypted(key: bytes) -> bool:
    """Whether a PEM private key asks for a passphrase, in PKCS#8 or in OpenSSL's older form."""
    return b"ENCRYPTED" in key


def key_pem(
    key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey, passphrase: bytes | None = None
) -> bytes:
    """A private key as PKCS#8 in PEM, encrypted when there is a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption(),
    )


def _passphrase(path: Path, ask: AskPassphrase | None) -> bytes:
    if ask is None:
        raise PkiError(f"{path} asks for a passphrase; decrypt it with: openssl pkey")
    return ask(path)
