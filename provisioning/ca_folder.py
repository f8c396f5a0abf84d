"""The folder of a project's device CA, and whoever signs in it.

::

    ca.crt.pem            ca.key.pem             the root, which the project trusts
    intermediate.crt.pem  intermediate.key.pem   optional: signs in the root's stead
    register.db                                  what was issued; see provisioning.register
    devices/                                     packs, unless they go elsewhere
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from provisioning import files
from provisioning.certificates import fingerprint, issued_by
from provisioning.errors import PkiError, WouldOverwrite, WrongUsage
from provisioning.key_pair import (
    AskPassphrase,
    KeyPair,
    LoadedKeyPair,
    is_encrypted,
    load_certificate,
)
from provisioning.pki import create_ca, create_intermediate, load_ca
from provisioning.register import Register

_NO_CA = "make one with: edgeferry provision ca init"


@dataclass(frozen=True)
class Signer:
    """Who signs devices; a device shows ``intermediates`` after its own certificate."""

    pair: LoadedKeyPair
    intermediates: tuple[x509.Certificate, ...]


class CaFolder:
    """A device CA on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = KeyPair.in_folder(path, "ca")
        self.intermediate = KeyPair.in_folder(path, "intermediate")

    @property
    def exists(self) -> bool:
        """Whether there is a CA."""
        return files.is_there(self.root.certificate)

    @property
    def has_intermediate(self) -> bool:
        """Whether an intermediate signs the devices."""
        return files.is_there(self.intermediate.certificate)

    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The root and, if there is one, the intermediate.

        Raises:
            PkiError: there is no CA, or a file is no certificate.
        """
        pairs = (self.root, self.intermediate) if self.has_intermediate else (self.root,)
        return tuple(load_certificate(pair.certificate, _NO_CA) for pair in pairs)

    def check_absent(self) -> None:
        """Raises WouldOverwrite when there is a CA, or a part of one."""
        for pair in (self.root, self.intermediate):
            for path in (pair.certificate, pair.key):
                if files.is_there(path):
                    raise WouldOverwrite(path)

    def create(
        self, name: str, *, days: int, passphrase: bytes | None, with_intermediate: bool
    ) -> None:
        """Make the root and, if wanted, the intermediate, below a folder for its owner alone.

        Raises:
            WouldOverwrite: there is a CA already; its devices would be cut off.
            PkiError: the name is unfit, or files can't be written.
        """
        self.check_absent()
        self._make_folder()
        create_ca(
            self.root, name, days=days, passphrase=passphrase, above_intermediates=with_intermediate
        )
        if with_intermediate:
            root = load_ca(self.root, lambda _: passphrase or b"")
            below = f"{name[:50]} intermediate"
            create_intermediate(root, self.intermediate, below, days=days, passphrase=passphrase)

    def signer(self, passphrase: AskPassphrase) -> Signer:
        """Open whoever signs devices here.

        Raises:
            WrongPassphrase: the key does not open.
            PkiError: there is no CA, it has expired, or its files don't belong together.
        """
        root = self.certificates()[0]
        if not self.has_intermediate:
            return Signer(load_ca(self.root, passphrase), ())
        pair = load_ca(self.intermediate, passphrase)
        if not issued_by(pair.certificate, root):
            raise PkiError(
                f"{self.intermediate.certificate} was not signed by {self.root.certificate}; "
                "put the two together that were made together"
            )
        return Signer(pair, (pair.certificate,))

    def register(self) -> Register:
        """The register, begun if there is none. Raises PkiError."""
        self.certificates()
        return Register(self.path / "register.db")

    def describe(self) -> dict[str, Any]:
        """The CA and what it signed, as ``ca show --json`` prints it. Raises PkiError."""
        pairs = (self.root, self.intermediate)
        certificates = [
            _description(certificate, pair)
            for certificate, pair in zip(self.certificates(), pairs, strict=False)
        ]
        with self.register() as register:
            states = Counter(entry.state for entry in register.entries())
        signed = {state: states[state] for state in ("valid", "expired", "revoked")}
        return {"folder": str(self.path), "certificates": certificates, "signed": signed}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out, so that no device is issued twice; the kernel drops it with us.

        Raises:
            WrongUsage: another run is at work here.
            PkiError: there is no CA in the folder, or nothing can be written to it.
        """
        self.certificates()
        lock = self.path / "lock"
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PkiError(
                f"{lock} can't be opened: {error.strerror}; check who may write to the folder"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WrongUsage(
                f"another edgeferry provision works in {self.path}; wait until it has ended"
            ) from error
        else:
            yield
        finally:
            os.close(descriptor)

    def _make_folder(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise PkiError(
                f"{self.path} can't be made: {error.strerror}; choose another"
            ) from error


def _description(certificate: x509.Certificate, pair: KeyPair) -> dict[str, Any]:
    content = files.read_if_there(pair.key, _NO_CA)
    return {
        "subject": certificate.subject.rfc4514_string(),
        "fingerprint": fingerprint(certificate),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "file": str(pair.certificate),
        "key_encrypted": None if content is None else is_encrypted(content),
    }
