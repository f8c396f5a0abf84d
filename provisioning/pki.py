"""Certificate authorities on disk, and the certificates they issue.

Golioth finds a device by its certificate: subject O is the project's slug, CN the certificate id,
and the root is uploaded to the project; nothing else in the subject counts. Keys are P-256,
signatures SHA-256, as in the scripts of Golioth's SDK, whose authorities are accepted here too. ::

    ca = create_ca(KeyPair.in_folder(Path("pki"), "ca"), "Warehouse 7")
    issue_device(ca, KeyPair.in_folder(Path("pki"), "camera-12"), "warehouse", "camera-12")
    issue_server(ca, KeyPair.in_folder(Path("pki"), "server"), ["cloud.local", "192.168.1.9"])

Nothing is overwritten unless asked for, and key files are readable by their owner alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from provisioning.certificates import (
    device_certificate,
    intermediate_certificate,
    is_authority,
    new_key,
    root_certificate,
    server_certificate,
)
from provisioning.errors import PkiError
from provisioning.key_pair import AskPassphrase, KeyPair, LoadedKeyPair, load, save

__all__ = [
    "KeyPair",
    "create_ca",
    "create_intermediate",
    "issue_device",
    "issue_server",
    "load_ca",
]

CA_DAYS, DEVICE_DAYS, SERVER_DAYS = 3650, 730, 365
MOST_DAYS = 36_500
"""Calendars end in the year 9999 (RFC 5280, section 4.1.2.5), and nobody means more than this."""


def create_ca(
    ca: KeyPair,
    name: str,
    *,
    days: int = CA_DAYS,
    passphrase: bytes | None = None,
    above_intermediates: bool = False,
    overwrite: bool = False,
) -> KeyPair:
    """Make a self-signed authority, its key encrypted when there is a ``passphrase``.

    It signs devices and servers but no other authority, unless ``above_intermediates``.

    Raises:
        WouldOverwrite: there is one already; the devices that it vouches for would be cut off.
        PkiError: the name is unfit or the files can't be written.
    """
    key = new_key()
    below = 1 if above_intermediates else 0
    certificate = root_certificate(key, name, days, authorities_below=below)
    return save(ca, LoadedKeyPair(certificate, key), passphrase=passphrase, overwrite=overwrite)


def create_intermediate(
    root: LoadedKeyPair,
    intermediate: KeyPair,
    name: str,
    *,
    days: int = CA_DAYS,
    passphrase: bytes | None = None,
) -> KeyPair:
    """Make an authority that signs devices in the root's stead; the root's key may rest offline.

    Raises:
        WouldOverwrite: there is one already.
        PkiError: the name is unfit or the files can't be written.
    """
    key = new_key()
    certificate = intermediate_certificate(root, key.public_key(), name, days)
    return save(intermediate, LoadedKeyPair(certificate, key), passphrase=passphrase)


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
    key = new_key()
    issuer = load_ca(ca)
    certificate = device_certificate(issuer, key.public_key(), project, certificate_id, days)
    return save(device, LoadedKeyPair(certificate, key), overwrite=overwrite)


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
    key = new_key()
    certificate = server_certificate(load_ca(ca), key.public_key(), hosts, days)
    return save(server, LoadedKeyPair(certificate, key), overwrite=overwrite)


def load_ca(ca: KeyPair, passphrase: AskPassphrase | None = None) -> LoadedKeyPair:
    """Read an authority from disk; ``passphrase`` is asked only for an encrypted key.

    Raises:
        WrongPassphrase: it does not open the key.
        PkiError: a file is missing, unreadable, no CA's, expired, or the two don't belong together.
    """
    loaded = load(ca, "create a CA first, or name the folder that holds yours", passphrase)
    certificate = loaded.certificate
    if not is_authority(certificate):
        raise PkiError(f"{ca.certificate} is no CA certificate; name the one that signs devices")
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise PkiError(
            f"{ca.certificate} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; "
            "create a new CA and upload it to the project"
        )
    return loaded
