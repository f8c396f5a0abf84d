"""What one side shows the other, and what it trusts.

Files are read anew by each :meth:`load`, so that the next connection uses a rotated certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from protocol.errors import CredentialError
from protocol.x509_reading import UNREADABLE, looked_through


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


# OpenSSL's own limits (PSK_MAX_IDENTITY_LEN less the final NUL, PSK_MAX_PSK_LEN); both fail without
# an error message when exceeded.
MAX_IDENTITY_BYTES = 255
MAX_KEY_BYTES = 512


@dataclass(frozen=True)
class PskCredential:
    """A pre-shared key. Golioth: the identity is ``<credential id>@<project id>``.

    ``key`` holds the bytes of the key's text as they are, never hex-decoded (Golioth).
    Raises :class:`CredentialError` for an identity or key that DTLS can't carry.
    """

    identity: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        identity = self.identity.encode()
        if not 0 < len(identity) <= MAX_IDENTITY_BYTES or b"\0" in identity:
            raise CredentialError(
                f"PSK identity {self.identity!r}",
                f"it must be 1 to {MAX_IDENTITY_BYTES} bytes without NUL",
                "use <credential id>@<project id> as the console shows it",
            )
        if not 0 < len(self.key) <= MAX_KEY_BYTES:
            raise CredentialError(
                f"PSK of identity {self.identity!r}",
                f"it has {len(self.key)} bytes, not 1 to {MAX_KEY_BYTES}",
                "copy the pre-shared key of the device again",
            )


@dataclass(frozen=True)
class KeyPair:
    """A certificate chain, leaf first, and the private key of the leaf."""

    chain: tuple[x509.Certificate, ...]
    # The leaf says which key it is; two readings of one file are not equal as objects.
    key: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)


@dataclass(frozen=True)
class CertificateCredential:
    """An X.509 client certificate (P-256) in PEM files; nothing is read before :meth:`load`.

    ``certificate`` may hold intermediates after the leaf. ``server_ca`` is a bundle of the
    authorities that may vouch for the server; None means the system's trust store.
    """

    certificate: Path
    key: Path
    server_ca: Path | None = None

    def load(self) -> KeyPair:
        """Read and check the pair; raises :class:`CredentialError`."""
        return load_key_pair(self.certificate, self.key)

    def load_server_ca(self) -> tuple[x509.Certificate, ...] | None:
        """Read the bundle, None for the system's trust store; raises :class:`CredentialError`."""
        return None if self.server_ca is None else load_certificates(self.server_ca)


@dataclass(frozen=True)
class LoadedCertificate:
    """A :class:`CertificateCredential` that was read before, whatever its files hold now."""

    pair: KeyPair
    roots: tuple[x509.Certificate, ...] | None = None

    def load(self) -> KeyPair:
        """The pair."""
        return self.pair

    def load_server_ca(self) -> tuple[x509.Certificate, ...] | None:
        """The bundle, None for the system's trust store."""
        return self.roots


Credential: TypeAlias = PskCredential | CertificateCredential | LoadedCertificate


def _no_roots() -> Sequence[x509.Certificate]:
    return ()


@dataclass(frozen=True)
class ServerCredentials:
    """What a server needs for PSK and X.509 clients on one port.

    ``psk_lookup`` returns the key of an identity or None; it runs inside the handshake on the
    event loop's thread and must be quick. ``certificate`` and ``key`` are PEM files; without them
    only PSK clients are served. ``client_roots`` returns the authorities whose client certificates
    are accepted; it is asked at start and on :meth:`protocol.server.Server.refresh`.
    """

    psk_lookup: Callable[[str], bytes | None]
    certificate: Path | None = None
    key: Path | None = None
    client_roots: Callable[[], Sequence[x509.Certificate]] = _no_roots

    def load(self) -> KeyPair | None:
        """Read the server's pair, None when it serves PSK only; raises :class:`CredentialError`."""
        if self.certificate is None and self.key is None:
            return None
        if self.certificate is None or self.key is None:
            raise CredentialError(
                self.certificate or self.key or "",
                "a certificate and its key are needed together",
                "name both files, or neither to serve PSK only",
            )
        return load_key_pair(self.certificate, self.key)


def project_of(certificate: x509.Certificate) -> str:
    """The project a device certificate is for (Golioth: the subject's O), or what is missing."""
    names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(names[0].value) if names else "O is missing"


def load_key_pair(certificate: Path, key: Path) -> KeyPair:
    """Read a PEM chain and its EC private key; raises :class:`CredentialError` naming the file."""
    chain = load_certificates(certificate)
    private_key = _load_key(key)
    try:
        looked_through(chain[0])
    except UNREADABLE as error:
        raise CredentialError(
            certificate, f"the certificate can't be read ({error})", "issue a new one"
        ) from error
    if private_key.public_key() != chain[0].public_key():
        raise CredentialError(
            key,
            f"the key does not belong to the certificate {certificate}",
            "use the matching pair",
            "mismatch",
        )
    return KeyPair(chain, private_key)


def load_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Read every certificate of a PEM file; raises :class:`CredentialError` naming the file."""
    try:
        return tuple(x509.load_pem_x509_certificates(_read(path)))
    except UNREADABLE as error:
        raise CredentialError(
            path,
            f"no PEM certificate in it ({error})",
            "convert DER with: openssl x509 -inform der",
        ) from error


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(_read(path), password=None)
    except TypeError as error:
        raise CredentialError(
            path, "the private key is encrypted", "store it unencrypted, readable by its user only"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CredentialError(
            path, "no PEM private key in it", "convert DER with: openssl pkey -inform der"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CredentialError(
            path, "not an elliptic-curve key", "make a P-256 key: openssl ecparam -name prime256v1"
        )
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CredentialError(
            path, "there is no such file", "check the configured path", "missing"
        ) from error
    except OSError as error:
        raise CredentialError(
            path,
            f"can't be read ({error.strerror})",
            "check its owner and permissions",
            "unreadable",
        ) from error
