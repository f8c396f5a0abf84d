"""Certificates this device fetched for itself: ``<state dir>/credentials``.

Each pair has a folder of its own, named by the serial number; the link ``newest`` names the one in
use. A pair appears whole or not at all, and the one before stays until the newest has connected.
"""

from __future__ import annotations

import logging
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.store.files import TEMPORARY, Files, storage_errors
from protocol.credentials import KeyPair, load_key_pair
from protocol.errors import CredentialError

log = logging.getLogger(__name__)

FOLDER = "credentials"
_CERTIFICATE, _KEY, _NEWEST = "device.crt", "device.key", "newest"


class RenewedPairs:
    """The folder of fetched certificates. All but :meth:`newest` raises Postponed."""

    def __init__(self, state_dir: Path, files: Files | None = None) -> None:
        self._folder = state_dir / FOLDER
        self._files = files or Files()

    def newest(self) -> KeyPair | None:
        """The pair fetched last, None when there is none that can be used."""
        folder = self._folder / _NEWEST
        if not folder.is_symlink():
            return None
        try:
            return load_key_pair(folder / _CERTIFICATE, folder / _KEY)
        except CredentialError as error:
            log.warning("a fetched certificate is left out: %s", error)
            return None

    def save(self, pair: KeyPair) -> None:
        """Keep a pair durably and make it the newest."""
        files, name = self._files, f"{pair.chain[0].serial_number:x}"
        files.make_folder(self._folder, 0o700)
        files.remove_leftovers(self._folder)
        unfinished = self._folder / f"{TEMPORARY}{name}"
        files.make_one_folder(unfinished, 0o700)
        key = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files.write_new(unfinished / _KEY, key, 0o600)
        chain = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in pair.chain)
        files.write_new(unfinished / _CERTIFICATE, chain)
        files.sync_folder(unfinished)
        files.move(unfinished, self._folder / name)
        files.point(self._folder / _NEWEST, name)

    def settle(self) -> None:
        """The newest has connected: let go of those before it."""
        self._remove(self._others())

    def discard_newest(self) -> None:
        """The newest is of no use: go back to the one before, if there is one."""
        useless, others = self._newest_name(), self._others()
        if others:
            self._files.point(self._folder / _NEWEST, others[-1].name)
        else:
            self._files.remove(self._folder / _NEWEST)
        self._remove([self._folder / useless])

    def _newest_name(self) -> str:
        with storage_errors(self._folder):
            return str((self._folder / _NEWEST).readlink())

    def _others(self) -> list[Path]:
        """All but the newest, the oldest first."""
        newest = self._newest_name()
        with storage_errors(self._folder):
            folders = [p for p in self._folder.iterdir() if p.is_dir() and not p.is_symlink()]
            others = [folder for folder in folders if folder.name != newest]
            return sorted(others, key=lambda folder: folder.stat().st_mtime_ns)

    def _remove(self, folders: list[Path]) -> None:
        for folder in folders:
            self._files.remove_tree(folder)
        if folders:
            self._files.sync_folder(self._folder)
