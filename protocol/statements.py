"""What is signed: which packages make a release, and which keys count.

Each statement has exactly one form in bytes (``docs/signing.md``), and only that form is read: JSON
without white space, members in alphabetical order, all of it ASCII. A public key is known by its
32 bytes in base64, which is as short as any fingerprint of it.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass
from typing import ClassVar, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from protocol.errors import CodecError
from protocol.fields import MAX_INTEGER, MAX_TEXT, Fields
from protocol.formats import ContentFormat, load_document, shown
from protocol.manifest import MAX_COMPONENTS, is_sha256

FORMAT = 1
MOST_KEYS = 16
"""Keys a list may name for one purpose."""
HIGHEST = 2**53 - 1
"""The largest number of a statement: what every JSON reader holds exactly."""

_KEY_BYTES = 32


@dataclass(frozen=True, order=True)
class SignedPackage:
    """A package as the manifest names it: ``size`` in bytes, ``sha256`` 64 lower-case digits."""

    name: str
    version: str
    sha256: str
    size: int


@dataclass(frozen=True)
class ReleaseStatement:
    """This release consists of exactly these packages. A higher ``number`` is a later word."""

    TYPE: ClassVar[str] = "application/vnd.edgeferry.release+json"

    number: int
    packages: tuple[SignedPackage, ...]

    def encode(self) -> bytes:
        """The one form it has in bytes: packages by name."""
        packages = [asdict(package) for package in sorted(self.packages)]
        return canonical({"format": FORMAT, "number": self.number, "packages": packages})

    @classmethod
    def decode(cls, payload: bytes) -> ReleaseStatement:
        """Raises CodecError, also for any other form than that of :meth:`encode`."""
        fields = _statement(payload, "release")
        listed = fields.array("packages", most=MAX_COMPONENTS)
        packages = [_package(item, f"release.packages[{i}]") for i, item in enumerate(listed)]
        if len({package.name for package in packages}) < len(packages):
            raise CodecError("release.packages: a package is named twice")
        return _exactly(cls(_number(fields), tuple(packages)), payload)


@dataclass(frozen=True)
class KeyList:
    """From now on these keys count: ``root_keys`` for key lists, ``release_keys`` for releases.

    A list is complete: a key that it does not name counts no more.
    """

    TYPE: ClassVar[str] = "application/vnd.edgeferry.keys+json"

    number: int
    root_keys: tuple[str, ...]
    release_keys: tuple[str, ...]

    def encode(self) -> bytes:
        """The one form it has in bytes: keys in the order of their text, each once."""
        keys = {"root_keys": self.root_keys, "release_keys": self.release_keys}
        texts = {name: sorted(set(listed)) for name, listed in keys.items()}
        return canonical({"format": FORMAT, "number": self.number, **texts})

    @classmethod
    def decode(cls, payload: bytes) -> KeyList:
        """Raises CodecError, also for any other form than that of :meth:`encode`."""
        fields = _statement(payload, "keys")
        root_keys, release_keys = (
            tuple(checked_key(key) for key in fields.array(name, most=MOST_KEYS))
            for name in ("root_keys", "release_keys")
        )
        if not root_keys or not release_keys:
            raise CodecError("keys: a list without root keys or release keys would end all trust")
        return _exactly(cls(_number(fields), root_keys, release_keys), payload)


def key_text(key: Ed25519PublicKey) -> str:
    """How a public key is known: its 32 bytes in base64, the last 44 characters of its PEM."""
    return b64encode(key.public_bytes_raw()).decode()


def public_key(text: str) -> str:
    """The key in ``text``, be it PEM or :func:`key_text`. Raises CodecError."""
    text = text.strip()
    if not text.startswith("-----BEGIN "):
        return checked_key(text)
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CodecError("no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise CodecError("a public key of another kind than Ed25519")
    return key_text(key)


def checked_key(value: object) -> str:
    """The text of a public key, in its one form. Raises CodecError."""
    raw = decoded(value) if isinstance(value, str) else None
    if raw is None or len(raw) != _KEY_BYTES or b64encode(raw).decode() != value:
        raise CodecError(f"{shown(value)} is no Ed25519 public key, 32 bytes in base64")
    return str(value)


def decoded(text: str) -> bytes | None:
    """What base64 stands for, or None for text that is none."""
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def canonical(document: object) -> bytes:
    """JSON without white space, members in alphabetical order, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


S = TypeVar("S", ReleaseStatement, KeyList)


def _exactly(statement: S, payload: bytes) -> S:
    """One statement, one form: nobody reads the same bytes in another way."""
    if statement.encode() != payload:
        raise CodecError(f"{type(statement).__name__}: not in the form of docs/signing.md")
    return statement


def _statement(payload: bytes, what: str) -> Fields:
    fields = Fields(load_document(payload, ContentFormat.JSON, what), what)
    found = fields.integer("format", maximum=MAX_INTEGER)
    if found != FORMAT:
        raise CodecError(f"{what}.format: {found} is not known here, only {FORMAT}")
    return fields


def _number(fields: Fields) -> int:
    number = fields.integer("number", maximum=HIGHEST)
    if number == 0:
        raise CodecError(f"{fields.place('number')}: must be 1 or more")
    return number


def _package(item: object, where: str) -> SignedPackage:
    fields = Fields(item, where)
    sha256 = fields.text("sha256", limit=MAX_TEXT)
    if not is_sha256(sha256):
        raise CodecError(f"{where}.sha256: must be 64 lower-case hexadecimal digits")
    name, version = (fields.text(key, limit=MAX_TEXT) for key in ("name", "version"))
    return SignedPackage(name, version, sha256, fields.integer("size", maximum=MAX_INTEGER))
