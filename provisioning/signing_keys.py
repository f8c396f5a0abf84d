"""Keys that sign releases, and the lists that tell devices which of them count.

A key is two files, ``NAME.key.pem`` (PKCS#8, encrypted by default) and ``NAME.pub.pem``. Key lists
are kept in one file, oldest first, and go along with every signature: so a device that was away for
a year follows them all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocol.errors import CodecError
from protocol.signing import MOST_SIGNATURES, Envelope, Signed, opened, sign
from protocol.statements import KeyList, key_text, public_key
from provisioning import files
from provisioning.errors import PkiError, WouldOverwrite, WrongUsage
from provisioning.key_pair import AskPassphrase, key_pem, load_private_key

KEY_SUFFIX, PUBLIC_SUFFIX = ".key.pem", ".pub.pem"
KEY_LISTS_FILE = "key-lists.json"

_NO_KEY = "make one with: edgeferry signing-key create"


def create_key(key: Path, passphrase: bytes | None) -> str:
    """Make a key, readable by its owner alone, and its public part beside it; returns the latter.

    Raises WouldOverwrite where either is there already, and PkiError.
    """
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    beside = public_file(key)
    for path in (key, beside):
        if files.is_there(path):
            raise WouldOverwrite(path)
    files.write(key, key_pem(private, passphrase), files.SECRET)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    files.write(beside, pem, files.PUBLIC)
    return key_text(public)


def public_file(key: Path) -> Path:
    """Where the public part of a key is."""
    return key.with_name(key.name.removesuffix(KEY_SUFFIX) + PUBLIC_SUFFIX)


def load_key(key: Path, passphrase: AskPassphrase) -> Ed25519PrivateKey:
    """Read a private key; ``passphrase`` is asked only when it is encrypted. Raises PkiError."""
    loaded = load_private_key(key, _NO_KEY, passphrase)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise PkiError(f"{key} is no Ed25519 key; {_NO_KEY}")
    return loaded


def read_public(path: Path) -> str:
    """The public key of a file, or beside a private one. Raises PkiError."""
    file = public_file(path) if path.name.endswith(KEY_SUFFIX) else path
    content = files.read(file, f"{_NO_KEY}, or: openssl pkey -in KEY -pubout")
    try:
        return public_key(content.decode())
    except (CodecError, UnicodeDecodeError) as error:
        raise PkiError(f"{file} holds no Ed25519 public key: {error}; {_NO_KEY}") from error


@dataclass(frozen=True)
class KeyLists:
    """All key lists of a fleet, the oldest first."""

    envelopes: tuple[Envelope, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> KeyLists:
        """Those of a folder, none when it has none. Raises PkiError."""
        path = folder / KEY_LISTS_FILE
        content = files.read_if_there(path, "restore it from a backup")
        if content is None:
            return cls()
        try:
            listed = json.loads(content)
            found = cls(tuple(Envelope.from_json(e, f"{path}[{i}]") for i, e in enumerate(listed)))
            for envelope in found.envelopes:
                opened(KeyList, envelope, str(path))
        except (CodecError, ValueError, TypeError) as error:
            raise PkiError(f"{path} is damaged: {error}; restore it from a backup") from error
        return found

    @property
    def newest(self) -> Signed[KeyList] | None:
        """The list that counts."""
        return opened(KeyList, self.envelopes[-1], "key list") if self.envelopes else None

    def followed_by(
        self,
        keys: Sequence[Ed25519PrivateKey],
        release_keys: Iterable[str],
        root_keys: Iterable[str] = (),
    ) -> KeyLists:
        """With one list more, signed by ``keys``; without ``root_keys`` they stay as they are.

        Raises WrongUsage for a list that devices would not follow.
        """
        signing = {key_text(key.public_key()) for key in keys}
        before = self.newest
        roots = set(before.statement.root_keys) if before else signing
        wanted = set(root_keys) or roots
        if not signing & roots:
            raise WrongUsage(
                "no --signing-key is a root key of the list before, so devices would not follow"
            )
        if not signing & wanted:
            raise WrongUsage("sign with one of the new root keys too: that proves they are yours")
        if len(self.envelopes) >= MOST_SIGNATURES:
            raise WrongUsage(
                f"there are {MOST_SIGNATURES} key lists, as many as devices read; pin the newest "
                "keys on the devices and begin anew with an empty signing folder"
            )
        number = before.statement.number + 1 if before else 1
        statement = KeyList(number, tuple(sorted(wanted)), tuple(sorted(set(release_keys))))
        return KeyLists((*self.envelopes, sign(statement, keys)))

    def write(self, folder: Path) -> None:
        """Keep them in a folder. Raises PkiError."""
        listed = [envelope.as_json() for envelope in self.envelopes]
        content = json.dumps(listed, indent=1).encode() + b"\n"
        files.write(folder / KEY_LISTS_FILE, content, files.PUBLIC, overwrite=True)
