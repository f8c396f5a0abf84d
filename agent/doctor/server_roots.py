"""The authorities that may vouch for the server: today's root of Golioth and the one to come.

Golioth: its chain ends in ISRG Root X1 today and is announced to move to Golioth Root X1; devices
that trust only the first may stop connecting without notice.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.utils import CryptographyDeprecationWarning

from agent.credentials.settings import GOLIOTH_HOST
from agent.credentials.sources import CertificateSource
from agent.doctor.finding import Finding, Patient, error, ok, warning
from agent.errors import ConfigurationError
from protocol.errors import CredentialError
from protocol.x509_reading import UNREADABLE

GOLIOTH_ROOTS = {
    "96bcec06264976f37460779acf28c5a7cfe8a3c0aae11a8ffcee05c0bddf08c6": "ISRG Root X1",
    "f03fec5a25b8d5dda45524c871a75913ef55fbb69408e8a2ddcc935f6fca98a0": "Golioth Root X1",
}
_TODAY, _TO_COME = GOLIOTH_ROOTS.values()
# Where OpenSSL as shipped with cryptography looks for the system's trust store.
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


async def examine_server_roots(patient: Patient) -> list[Finding]:
    """Which roots the device trusts; nothing to say with a PSK."""
    golioth = patient.settings.golioth
    try:
        source = golioth.source()
    except (ConfigurationError, CredentialError):
        return []
    if not isinstance(source, CertificateSource):
        return [ok("not needed: with a PSK the server shows no certificate")]
    bundle = source.server_ca or _system_bundle()
    if bundle is None:
        return [
            error(
                "this system has no trust store",
                "install it (apt-get install ca-certificates), or set golioth.server_ca",
            )
        ]
    try:
        roots = _system_roots(bundle) if source.server_ca is None else source.read_server_ca()
    except CredentialError as problem:
        return [error(str(problem), "give golioth.server_ca a PEM file of CA certificates")]
    assert roots is not None, "there is a bundle"
    found = list(_ages(bundle, roots, patient))
    return found + list(_golioth(bundle, roots) if golioth.address[0] == GOLIOTH_HOST else ())


def _system_bundle() -> Path | None:
    return next((Path(name) for name in _SYSTEM_BUNDLES if Path(name).exists()), None)


def _system_roots(bundle: Path) -> tuple[x509.Certificate, ...]:
    """The readable ones: old roots break rules that Python's parser is strict about."""
    end = b"-----END CERTIFICATE-----"
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for block in bundle.read_bytes().split(end)[:-1]:
            with suppress(*UNREADABLE):
                found.append(x509.load_pem_x509_certificate(block + end))
    return tuple(found)


def _ages(bundle: Path, roots: tuple[x509.Certificate, ...], patient: Patient) -> Iterator[Finding]:
    now = patient.known_time.now()
    expired = sum(root.not_valid_after_utc < now for root in roots)
    if expired == len(roots):
        yield error(f"{bundle}: every CA in it has expired", "replace the bundle")
    else:
        yield ok(f"{bundle}: {len(roots)} CAs" + (f", {expired} expired" if expired else ""))


def _golioth(bundle: Path, roots: tuple[x509.Certificate, ...]) -> Iterator[Finding]:
    trusted = {GOLIOTH_ROOTS.get(root.fingerprint(hashes.SHA256()).hex()) for root in roots}
    if _TODAY not in trusted:
        yield error(
            f"{bundle}: lacks {_TODAY}, which {GOLIOTH_HOST} is trusted by today",
            "add it, or leave golioth.server_ca out to use the system's trust store",
        )
    if _TO_COME not in trusted:
        yield warning(
            f"{bundle}: lacks {_TO_COME}, which Golioth has announced to move to",
            "set golioth.server_ca to the bundle of both roots from Golioth's device SDK",
        )
    if {_TODAY, _TO_COME} <= trusted:
        yield ok("holds both roots of Golioth, today's and the one to come")
