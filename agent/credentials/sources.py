"""Where credentials are read from: files, the configuration itself, or systemd.

systemd hands a service its credentials as files in ``$CREDENTIALS_DIRECTORY`` (systemd.exec(5),
``LoadCredential=``). Any path of the configuration may name one as ``credential:NAME``.
"""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cryptography.x509 import Certificate
from pydantic import SecretStr

from agent.errors import ConfigurationError
from protocol.credentials import LoadedCertificate, PskCredential, load_certificates, load_key_pair
from protocol.errors import CredentialError

log = logging.getLogger(__name__)

CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
CREDENTIAL_STORE = Path("/etc/credstore")
"""Where systemd takes the service's credentials from, when it starts it."""
PREFIX = "edgeferry."
"""The credentials taken by themselves: edgeferry.crt, .key, .ca, .psk and .psk-id."""
_SCHEME = "credential:"


def located(key: str, path: Path) -> Path:
    """The file a configured path means; ``key`` names the setting in errors.

    Raises:
        ConfigurationError: ``credential:NAME`` without systemd, or with no plain name.
    """
    if not str(path).startswith(_SCHEME):
        return path
    name = str(path).removeprefix(_SCHEME)
    if not name or "/" in name or name in {".", ".."}:
        raise ConfigurationError(f"{key}: {path} names no credential; write credential:NAME")
    folder = _folder()
    if folder is None:
        raise ConfigurationError(
            f"{key}: {path} needs systemd: start it as a service with LoadCredential={name}:FILE,"
            " or give the path of a file"
        )
    return folder / name


def systemd_credential(suffix: str) -> Path | None:
    """The credential ``edgeferry.<suffix>``, if systemd handed it to this process."""
    folder = _folder()
    path = folder / f"{PREFIX}{suffix}" if folder else None
    return path if path is not None and path.exists() else None


def from_systemd(path: Path) -> bool:
    """Whether a file is one of the credentials systemd handed to this process."""
    folder = _folder()
    return folder is not None and path.is_relative_to(folder)


def _folder() -> Path | None:
    folder = os.environ.get(CREDENTIALS_DIRECTORY)
    return Path(folder) if folder else None


@dataclass(frozen=True)
class CertificateSource:
    """PEM files of a certificate and its key, and the CA bundle for the server."""

    certificate: Path
    key: Path
    server_ca: Path | None = None

    def read(self) -> LoadedCertificate:
        """Read everything anew. Raises CredentialError naming the file and the next step."""
        check_private(self.key)
        pair = load_key_pair(self.certificate, self.key)
        return LoadedCertificate(pair, self.read_server_ca())

    def read_server_ca(self) -> tuple[Certificate, ...] | None:
        """Read the bundle, None for the system's trust store. Raises CredentialError."""
        return None if self.server_ca is None else load_certificates(self.server_ca)


@dataclass(frozen=True)
class PskSource:
    """A PSK's identity and key, each as text or as the file that holds it."""

    identity: str | Path
    key: SecretStr | Path

    @property
    def is_in_files(self) -> bool:
        """Whether any of it is read from a file, so that it may change."""
        return isinstance(self.identity, Path) or isinstance(self.key, Path)

    def read(self) -> PskCredential:
        """Read everything anew. Raises CredentialError naming the file and the next step."""
        identity = self.identity
        if isinstance(identity, Path):
            identity = _text(identity).decode(errors="replace")
        if isinstance(self.key, Path):
            check_private(self.key)
            return PskCredential(identity, _text(self.key))
        return PskCredential(identity, self.key.get_secret_value().encode())


Source: TypeAlias = CertificateSource | PskSource


def check_private(path: Path) -> None:
    """Refuse a secret that every user of this machine may read or write.

    A group may read it: services commonly get their keys that way. systemd guards what it hands
    over itself, by an ACL whose mask shows as group permissions.

    Raises:
        CredentialError: ``exposed``. Whether the file is there is for whoever reads it to find.
    """
    if from_systemd(path):
        return
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise CredentialError(
            path,
            f"every user of this machine may read or change it (mode {stat.S_IMODE(mode):04o})",
            f"run: chmod 0600 {path}; if others had access, replace the credential",
            "exposed",
        )


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes().strip()
    except FileNotFoundError as error:
        raise CredentialError(
            path, "there is no such file", "check the configured path", "missing"
        ) from error
    except OSError as error:
        raise CredentialError(
            path, f"can't be read ({error.strerror})", "check its owner and mode", "unreadable"
        ) from error
